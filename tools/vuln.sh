#!/usr/bin/env bash
# Looks for known vulnerabilities that the code can reach, with the database that
# tools/go.mod pins as golang.org/x/vulndb. Exit codes: 0 none, 1 there is one, or
# the database could not be had.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
mod=(-modfile=tools/go.mod)

if ! found=$($go list "${mod[@]}" -m -f '{{.Version}}' golang.org/x/vulndb) || ! $go mod download "${mod[@]}" golang.org/x/vulndb; then
  echo "vuln: cannot get the vulnerability database, the module golang.org/x/vulndb${found:+ $found}, from GOPROXY=$($go env GOPROXY); nothing was checked. Check the proxy and run make vuln again" >&2
  exit 1
fi
source=$($go list "${mod[@]}" -m -f '{{.Dir}}' golang.org/x/vulndb)/data/osv
db=$(mktemp -d)
trap 'rm -rf "$db"' EXIT
$go tool "${mod[@]}" indexdb -vulns "$source" -out "$db"
echo "vuln: $(find "$source" -name '*.json' | wc -l) advisories of golang.org/x/vulndb $found, $($go env GOVERSION)"
code=0
$go tool "${mod[@]}" govulncheck -db "file://$db" ./... || code=$?
case $code in
  0) echo "vuln: 0 reachable vulnerabilities" ;;
  3) echo "vuln: there are reachable vulnerabilities: move the toolchain line of go.mod or the module to the release named above" >&2; exit 1 ;;
  *) echo "vuln: govulncheck failed with exit code $code; nothing is known" >&2; exit 1 ;;
esac
