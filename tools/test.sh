#!/usr/bin/env bash
# Runs go test with the given flags on the packages of PKG (./...). It keeps the test binaries
# in bin/tests, 1.6 GB: go links one again only when its code has changed. To link all of them
# takes as long as a third of the tests.
set -uo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go} status=0
# shellcheck disable=SC2086 # PKG may be several packages
packages=$("$go" list ${PKG:-./...}) || exit

commands=() others=()
for package in $packages; do
  case $package in */cmd/*) commands+=("$package") ;; *) others+=("$package") ;; esac
done
# run DIR PACKAGE... takes packages of different names; some below cmd/ have the name of another.
run() {
  [ $# -gt 1 ] || return 0
  mkdir -p "$1"
  "$go" test -o "$1/" "${flags[@]}" "${@:2}" || status=1
}
flags=("$@")
run bin/tests/cmd "${commands[@]}"
run bin/tests "${others[@]}"
exit $status
