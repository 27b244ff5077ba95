#!/usr/bin/env bash
# Builds worker and enqueue of another commit: tools/other.sh COMMIT DIR
set -euo pipefail
commit=$1 dir=$(mkdir -p "$2" && cd "$2" && pwd) go=${GO:-go}
tree=$(mktemp -d)
trap 'git worktree remove --force "$tree"' EXIT
git worktree add --quiet --detach "$tree" "$commit"
$go -C "$tree" build -o "$dir/" ./cmd/worker ./cmd/enqueue
