#!/usr/bin/env bash
# Runs the tests of make test many times over and lists each test that failed, how
# often, and the seeds with which it did. It may take hours.
#
#   PKG=./internal/lane  the packages (./...)
#   RUNS=20              shuffled runs; those with -cpu 1, 2 and 4 (3 each) and with
#                        busy cores (5) shrink with it
#   BUSY=6               how many processes keep the cores busy
set -uo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go} pkg=${PKG:-./...} runs=${RUNS:-20} busy=${BUSY:-6} race=${RACE:-}
# Most packages wait rather than compute.
jobs=$((3 * $(nproc 2>/dev/null || echo 2)))
few=$(((runs * 3 + 19) / 20)) some=$(((runs * 5 + 19) / 20))

work=$(mktemp -d) spinning=()
stop_spinning() {
  if [ ${#spinning[@]} -gt 0 ]; then kill "${spinning[@]}" 2>/dev/null; wait "${spinning[@]}" 2>/dev/null; fi
  spinning=()
}
# What runs when the script is stopped would go on: the runs of packages, and their binaries.
stop_running() {
  for run in $(jobs -p); do
    kill $(ps -o pid= --ppid "$run") "$run" 2>/dev/null
  done
}
trap 'stop_spinning; stop_running; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# One binary a package, built once. A package without tests has none.
$go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}' $pkg | grep . >"$work/packages"
while read -r name dir; do
  # shellcheck disable=SC2086 # RACE is -race or nothing
  $go test -c $race -o "$work/bin/${name//\//+}" "$name" || exit 2
done <"$work/packages"

# one TITLE NAME DIR ARGS... runs one package, and notes what failed.
one() {
  local title=$1 name=$2 dir=$3 seed out failed
  shift 3
  seed=$((RANDOM * 32768 + RANDOM))
  out=$work/out.${name//\//+}
  (cd "$dir" && exec "$work/bin/${name//\//+}" -test.short -test.timeout 20m -test.shuffle "$seed" "$@") \
    >"$out" 2>&1 </dev/null && return
  failed=$(grep -oE '^ *--- FAIL: [^ ]+' "$out" | sed 's/.* //')
  for test in ${failed:-(binary)}; do
    echo "$name $test" >>"$work/failed"
    echo "$name $test seed=$seed ($title)" >>"$work/seeds"
  done
  echo "FAIL $name, $title, seed $seed:"
  tail -n 60 "$out"
}

# once TITLE ARGS... runs every package once, several at a time.
once() {
  local title=$1 name dir running=() started=$SECONDS
  shift
  while read -r name dir; do
    one "$title" "$name" "$dir" "$@" &
    running+=($!)
    if [ ${#running[@]} -ge "$jobs" ]; then
      wait "${running[0]}"
      running=("${running[@]:1}")
    fi
  done <"$work/packages"
  wait "${running[@]}"
  echo "  took $((SECONDS - started)) s"
}

for i in $(seq "$runs"); do
  echo "run $i of $runs"
  once "shuffled"
done
for cpu in 1 2 4; do
  for i in $(seq "$few"); do
    echo "run $i of $few, -cpu $cpu"
    once "-cpu $cpu" -test.cpu "$cpu"
  done
done
for _ in $(seq "$busy"); do
  (while :; do :; done) &
  spinning+=($!)
done
for i in $(seq "$some"); do
  echo "run $i of $some, $busy busy processes"
  once "busy cores"
done
stop_spinning

if [ ! -s "$work/failed" ]; then
  echo "no test failed in $((runs + 3 * few + some)) runs of $(wc -l <"$work/packages") packages"
  exit 0
fi
echo "failed, of $((runs + 3 * few + some)) runs:"
sort "$work/failed" | uniq -c | sort -rn
sort "$work/seeds"
exit 1
