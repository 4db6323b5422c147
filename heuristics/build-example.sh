#!/bin/sh
# SPDX-License-Identifier: MIT
# build-example.sh KDIR BUILT RELEASE OUT [make arguments]: build the heuristic of README.md as it says, with headers
# installed below OUT. KDIR is a kernel's headers, BUILT where build.sh has built the modules for that kernel RELEASE.
set -eu
kdir=$1 built=$2 release=$3 out=$4
shift 4
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
"$here/../kmod/install-headers.sh" "$out/include" "$built" "$release"
# The fenced blocks of README.md, by language.
block() {
	awk -v fence="\`\`\`" -v open="\`\`\`$1" '$0 == fence { on = 0 } on { print } $0 == open { on = 1 }' "$here/README.md"
}
put() {
	cat >"$out/$1.new"
	cmp -s "$out/$1.new" "$out/$1" && rm "$out/$1.new" || mv "$out/$1.new" "$out/$1"
}
block c | put shim6_heur_packets.c
block make | sed "s#/usr/include/shim6#$out/include#" | put Kbuild
${KMOD_MAKE:-make} -C "$kdir" M="$out" KBUILD_EXTRA_SYMBOLS="$out/include/$release/Module.symvers" "$@" modules
