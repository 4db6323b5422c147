#!/bin/sh
# SPDX-License-Identifier: MIT
# toolchain-make.sh TOOLCHAIN [make arguments]: run make in the folder that fetch-newest.sh unpacked a compiler into, with
# this tree and the cache in their places. The mounts are seen by this process only.
set -eu
if [ "${SHIM6_TOOLCHAIN:-}" != "$1" ]; then
	export SHIM6_TOOLCHAIN="$1"
	if [ "$(id -u)" = 0 ]; then exec unshare --mount "$0" "$@"; fi
	exec unshare --map-root-user --mount "$0" "$@"
fi
root=$1
shift
tree=$(cd "$(dirname "$0")/../.." && pwd)
cache=$(cd "$root/../../.." && pwd)
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
for dir in "$tree" "$cache"; do
	mkdir -p "$root$dir"
	mount --bind "$dir" "$root$dir"
done
unset SHIM6_TOOLCHAIN
exec chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/ LC_ALL=C make "$@"
