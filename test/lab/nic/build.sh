#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh KDIR OUT [make arguments]: build the lab's own module. KDIR is a kernel's headers.
set -eu
kdir=$1 out=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
for file in Kbuild lab_nic.c; do
	cmp -s "$here/$file" "$out/$file" || cp "$here/$file" "$out/$file"
done
${KMOD_MAKE:-make} -C "$kdir" M="$out" "$@" modules
