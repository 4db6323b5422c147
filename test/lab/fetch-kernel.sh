#!/bin/sh
# SPDX-License-Identifier: MIT
# fetch-kernel.sh SERIES OUT: download Debian's newest SERIES kernel image and headers and unpack them under OUT.
# SERIES newest is the newest that Debian offers at all; debug-uml and debug-smp are built from its source. Nothing is installed on this machine. OUT/release holds the kernel release when everything is in place.
set -eu
series=$1 out=$2
case $series in
debug-*) exec "$(dirname "$0")/build-kernel.sh" "$series" "$out" ;;
esac
[ -s "$out/release" ] && exit 0
[ "$series" != newest ] || exec "$(dirname "$0")/fetch-newest.sh" "$out"
die() { echo "fetch-kernel: $*" >&2; exit 1; }
command -v depmod >/dev/null || PATH=$PATH:/sbin:/usr/sbin
command -v depmod >/dev/null || die "depmod is missing: apt-get install kmod"
. "$(dirname "$0")/in-one-piece.sh"
mkdir "$work/debs" "$work/root"
case $series in
6.1) pattern='^linux-image-6\.1\.0-[0-9]+-amd64$' ;;
*) pattern="^linux-image-$(echo "$series" | sed 's/\./\\./g')\.[0-9]+\+deb12-amd64\$" ;;
esac
apt=/usr/bin/apt-get
names=$(apt-cache pkgnames linux-image- | grep -E "$pattern" | sort -rV) || die "apt knows no kernel of series $series: run apt-get update"
for image in $names; do
	release=${image#linux-image-}
	common=${release%-amd64}-common
	kbuild=linux-kbuild-$series
	[ "$series" = 6.1 ] || kbuild=linux-kbuild-${release%-amd64}
	rm -f "$work"/debs/*
	if (cd "$work/debs" && $apt -o APT::Sandbox::User=root -qq download \
		"$image" "linux-headers-$release" "linux-headers-$common" "$kbuild" >&2); then
		break
	fi
	release=
done
[ -n "${release:-}" ] || die "no complete set of image, headers and kbuild for series $series could be downloaded"
for deb in "$work"/debs/*.deb; do
	dpkg-deb -x "$deb" "$work/root"
done
rm -rf "$work/debs"
depmod -b "$work/root" "$release"
# The headers' Makefile names /usr/src; point it where the tree will live.
sed -i "s#/usr/src/#$out/root/usr/src/#g" "$work/root/usr/src/linux-headers-$release/Makefile"
echo "$release" >"$work/release"
put_in_place
