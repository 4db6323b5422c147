#!/bin/sh
# SPDX-License-Identifier: MIT
# fetch-qemu.sh OUT: an emulator that has a processor's instructions for SHA, for cases that measure how long hashing takes. Debian
# 12's own does not know them; that of its backports is unpacked under OUT, and nothing is installed on this machine. OUT/emulator
# is there when everything is in place, and takes the arguments of qemu-system-x86_64.
set -eu
out=$1
[ ! -e "$out/emulator" ] || exit 0
die() { echo "fetch-qemu: $*" >&2; exit 1; }
. "$(dirname "$0")/private-apt.sh"
. "$(dirname "$0")/in-one-piece.sh"
mkdir "$work/root"
# QEMU 8.2 is the first with SHA.
version=$(qemu-system-x86_64 --version | sed -n 's/.*version \([0-9.]*\).*/\1/p')
if [ "$(printf '%s\n8.2\n' "$version" | sort -V | head -n 1)" = 8.2 ]; then
	run=qemu-system-x86_64
else
	echo "fetch-qemu: fetching the QEMU of Debian 12's backports into $out" >&2
	private_apt "$work" bookworm bookworm-backports
	for package in qemu-system-x86 qemu-system-common qemu-system-data; do
		(cd "$work/apt/archives" && apt-get -qq download $package/bookworm-backports >&2) || die "$package could not be downloaded"
	done
	unpack_archives "$work" "$work/root"
	rm -rf "$work/apt"
	# The libraries and the BIOS are those of the QEMU that is installed here.
	run='"$here/root/usr/bin/qemu-system-x86_64" -L "$here/root/usr/share/qemu" -L /usr/share/seabios'
fi
printf '#!/bin/sh\nhere=$(dirname "$0")\nexec %s "$@"\n' "$run" >"$work/emulator"
chmod 755 "$work/emulator"
"$work/emulator" -cpu help | grep -q ' sha-ni' || die "QEMU runs, but has no SHA"
put_in_place
