#!/usr/bin/env bash
# Builds examples/producer as docs/tasks.md says, in a copy of the repository each
# time, and runs it against a worker of the same copy.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
work=$(mktemp -d) worker=
stop() {
  if [ -n "$worker" ]; then kill "$worker" 2>/dev/null || true; wait "$worker" 2>/dev/null || true; worker=; fi
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

copy() {
  mkdir -p "$work/$1"
  tar -c --exclude=./.git --exclude=./bin --exclude=./dist . | tar -x -C "$work/$1"
}

# serve DIR starts the worker of a copy, on the ports of make run.
serve() {
  (cd "$1" && "$go" build -trimpath -o "$work/worker" ./cmd/worker)
  "$work/worker" run >"$work/worker.log" 2>&1 &
  worker=$!
  for _ in $(seq 300); do
    if grep -q '^Running until interrupted' "$work/worker.log"; then return; fi
    if ! kill -0 "$worker" 2>/dev/null; then break; fi
    sleep 0.2
  done
  echo "examples: the worker did not start:" >&2
  cat "$work/worker.log" >&2
  exit 1
}

# example WAY DIR builds and runs the example in a copy.
example() {
  (cd "$2" && "$go" build -trimpath -o "$work/producer" .)
  "$work/producer" 127.0.0.1:6390 >"$work/out"
  if ! grep -q '^1 of 2 tasks stored$' "$work/out"; then
    echo "examples: with $1 the example printed:" >&2
    cat "$work/out" >&2
    exit 1
  fi
  echo "examples/producer with $1: $(tail -n 1 "$work/out")"
}

copy replace
serve "$work/replace"
example replace "$work/replace/examples/producer"
stop

copy go.work
(
  cd "$work/go.work/examples/producer"
  "$go" mod edit -dropreplace=rollcall -droprequire=rollcall
  cd ../.. && "$go" work init . ./examples/producer
)
serve "$work/go.work"
example go.work "$work/go.work/examples/producer"
stop

copy renamed
(cd "$work/renamed" && tools/module.sh git.example.edu/it/rollcall >/dev/null)
serve "$work/renamed"
example "make module" "$work/renamed/examples/producer"
stop
