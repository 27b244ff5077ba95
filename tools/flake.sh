#!/usr/bin/env bash
# Runs make test many times over and lists each test that failed, and how often. It takes
# one to two hours. Each run prints how long it took.
#
#   PKG=./internal/lane  the packages (./...)
#   RUNS=20              shuffled runs; those with -cpu 1, 2 and 4 (3 each) and with
#                        busy cores (5) shrink with it
#   WAYS="shuffled cpu busy"  which of these
#   BUSY=6               how many processes keep the cores busy
set -uo pipefail
cd "$(dirname "$0")/.."
pkg=${PKG:-./...} runs=${RUNS:-20} busy=${BUSY:-6} ways=${WAYS:-shuffled cpu busy}
few=$(((runs * 3 + 19) / 20)) some=$(((runs * 5 + 19) / 20))

work=$(mktemp -d) spinning=() total=0
trap '[ ${#spinning[@]} = 0 ] || kill "${spinning[@]}"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# once TITLE FLAGS runs make test, and notes what failed. go test prints the seed of a
# package that failed.
once() {
  local started=$SECONDS result=green out=$work/out
  total=$((total + 1))
  if ! make --no-print-directory test PKG="$pkg" TESTFLAGS="$2" >"$out" 2>&1; then
    result=RED
    grep -oE '^ *--- FAIL: [^ ]+' "$out" | sed 's/.* //' >"$work/tests"
    [ -s "$work/tests" ] || echo "(no test named)" >"$work/tests"
    sed "s|$| ($1)|" "$work/tests" >>"$work/failed"
    grep -vE '^(ok|\?) ' "$out" | tail -n 200
  fi
  echo "$1: $result, $((SECONDS - started)) s"
}

for way in $ways; do
  case $way in
  shuffled) for _ in $(seq "$runs"); do once shuffled ""; done ;;
  cpu) for cpu in 1 2 4; do for _ in $(seq "$few"); do once "-cpu $cpu" "-cpu $cpu"; done; done ;;
  busy)
    for _ in $(seq "$busy"); do
      (while :; do :; done) &
      spinning+=($!)
    done
    for _ in $(seq "$some"); do once "$busy busy processes" ""; done
    kill "${spinning[@]}"
    spinning=()
    ;;
  *) echo "unknown way \"$way\": shuffled, cpu or busy" >&2; exit 64 ;;
  esac
done

if [ -s "$work/failed" ]; then
  echo "failed, of $total runs:"
  sort "$work/failed" | uniq -c | sort -rn
  exit 1
fi
echo "no test failed in $total runs"
