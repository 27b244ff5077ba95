#!/bin/bash
# Renames the module everywhere: in go.mod, in the examples and in every import.
#
#   tools/module.sh git.example.edu/it/rollcall
set -euo pipefail
new=${1:?usage: tools/module.sh MODULE, for example git.example.edu/it/rollcall}
# make module PATH=... has replaced the path of commands.
case $PATH in */bin*) ;; *) PATH=$(command -p getconf PATH):/usr/local/go/bin:${HOME:-/root}/go/bin ;; esac
export PATH
cd "$(dirname "$0")/.."
case $new in
*[!A-Za-z0-9._~/-]* | /* | */ | *//*) echo "module: \"$new\" is not a module path: write it as in git.example.edu/it/rollcall" >&2; exit 64 ;;
esac
old=$(sed -n 's/^module //p' go.mod)
if [ "$old" = "$new" ]; then echo "the module is called $new already"; exit 0; fi

# An import is alone on its line; tests build commands by their path. Other strings,
# such as the User-Agent, keep their text.
from=${old//./\\.}
find . -name '*.go' -not -path './.git/*' -print0 | xargs -0 sed -i \
  -e "s#^\(import \|\t\)\([A-Za-z_.]* \)\{0,1\}\"$from/\([^\"]*\)\"\$#\1\2\"$new/\3\"#" \
  -e "s#\"$from/cmd/#\"$new/cmd/#g" \
  -e "s#^const module = \"$from/\"\$#const module = \"$new/\"#"
sed -i "s#^module $from\$#module $new#" go.mod
sed -i "s#-X $from/internal/#-X $new/internal/#g" Makefile deploy/Dockerfile
sed -i -e "s#^\t$from v#\t$new v#" -e "s#^replace $from =>#replace $new =>#" examples/*/go.mod
echo "the module is called $new now; commit the change, and import $new/tasks and $new/producer"
