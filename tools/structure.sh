#!/bin/bash
# Prints by what the structure of the tree is judged: lines of each package without
# tests, exported names of the package that other services import, and words of the docs
# that people write. LIST=1 also prints the words of each page.
set -eu
cd "$(dirname "$0")/.."

echo "lines by package, without tests:"
git ls-files '*.go' | grep -v '_test\.go$' | xargs wc -l | awk '
	$2 != "total" { dir = $2; if (!sub("/[^/]*$", "", dir)) dir = "."; lines[dir] += $1; all += $1 }
	END {
		for (dir in lines) printf "%7d %s\n", lines[dir], dir | "sort -k 2"
		close("sort -k 2")
		printf "%7d in all\n", all
	}'

echo "exported names of tasks, with methods and without fields:"
git ls-files 'tasks/*.go' | grep -v '_test\.go$' | xargs cat | awk '
	/^(const|var) \($/ { block = 1; next }
	/^\)$/ { block = 0 }
	block && /^\t[A-Z]/ || /^(func|type|const|var) [A-Z]/ || /^func \([^)]*\) [A-Z]/ { n++ }
	END { printf "%7d\n", n }'

# A page whose first line says that it is generated counts nothing, nor does what stands
# between the lines around a generated part. The bars of a table are no words.
echo "words of docs/*.md and README*.md that people write, without records and generated text:"
git ls-files 'docs/*.md' 'README*.md' | grep -v '^docs/.*/' | xargs awk -v list="${LIST:-}" '
	FNR == 1 { whole = /^<!-- generated/; part = 0 }
	/^<!-- generated/ { part = 1 }
	!whole && !part { for (i = 1; i <= NF; i++) if ($i !~ /^[-|*:]+$/) { words[FILENAME]++; all++ } }
	/^<!-- end/ { part = 0 }
	END {
		if (list) for (page in words) printf "%7d %s\n", words[page], page | "sort -n"
		close("sort -n")
		printf "%7d\n", all
	}'
