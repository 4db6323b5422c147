#!/bin/sh
# SPDX-License-Identifier: MIT
# Build shim6.ko and the heuristics out of tree: build.sh KDIR OUT [make arguments, such as W=1 C=2]
# $KMOD_MAKE, if set, is run instead of make. KDIR is a kernel's headers; OUT is a folder of this kernel's own, where the modules will lie.
set -eu

if [ $# -lt 2 ]; then
	echo "usage: build.sh KDIR OUT [make arguments]" >&2
	exit 2
fi
kdir=$1
out=$2
shift 2

root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)

# Only what has changed gets a new time stamp, and what was removed goes.
sync() {
	mkdir -p "$out/$(dirname "$1")"
	cmp -s "$root/$1" "$out/$1" || cp "$root/$1" "$out/$1"
}
cd "$root"
for file in Kbuild kmod/Kbuild kmod/*.[ch] kmod/uapi/linux/*.h heuristics/Kbuild heuristics/*.c; do
	sync "$file"
done
for file in "$out"/kmod/*.c "$out"/heuristics/*.c; do
	case $file in *.mod.c) continue ;; esac
	[ -e "$root/${file#"$out"/}" ] || rm -f "$file"
done

# Headers that ship vmlinux make kbuild run pahole for BTF, which the modules do not need.
command -v pahole >/dev/null || set -- CONFIG_DEBUG_INFO_BTF_MODULES= "$@"

${KMOD_MAKE:-make} -C "$kdir" M="$out" "$@" modules
