#!/bin/sh
# SPDX-License-Identifier: MIT
# fetch-checkpatch.sh SERIES OUT: take the kernel's style checker out of Debian's source package, without installing it.
set -eu
series=$1 out=$2
[ -s "$out/checkpatch.pl" ] && exit 0
. "$(dirname "$0")/lab/in-one-piece.sh"
(cd "$work" && apt-get -o APT::Sandbox::User=root -qq download "linux-source-$series" >&2)
dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$work" --wildcards '*/linux-source-*.tar.xz'
tree=linux-source-$series/scripts
tar -x -C "$work" --strip-components=2 -f "$work"/usr/src/linux-source-*.tar.xz \
	"$tree/checkpatch.pl" "$tree/spelling.txt" "$tree/const_structs.checkpatch"
rm -rf "$work"/*.deb "$work/usr"
put_in_place
