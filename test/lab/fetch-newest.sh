#!/bin/sh
# SPDX-License-Identifier: MIT
# fetch-newest.sh OUT: download the newest kernel that Debian offers for its stable release, backports included, with its
# headers and the compiler it was built with, and unpack them under OUT. Nothing is installed on this machine, whose own
# package sources stay as they are. OUT/release holds the kernel release when everything is in place; OUT/toolchain is a
# folder to chroot into for building modules (kmod/build.sh does).
set -eu
out=$1
[ -s "$out/release" ] && exit 0
die() { echo "fetch-newest: $*" >&2; exit 1; }
. "$(dirname "$0")/private-apt.sh"
command -v depmod >/dev/null || PATH=$PATH:/sbin:/usr/sbin
command -v depmod >/dev/null || die "depmod is missing: apt-get install kmod"

. "$(dirname "$0")/in-one-piece.sh"
mkdir "$work/kernel" "$work/root" "$work/toolchain"
private_apt "$work" trixie trixie-backports

names=$(apt-cache pkgnames linux-image- | grep -E '^linux-image-[0-9.]+\+deb[0-9]+-amd64$' | sort -rV)
for image in $names; do
	release=${image#linux-image-}
	base=${release%-amd64}
	rm -f "$work"/kernel/*
	# Kernels from 7.0 on have the image in a package of its own, and the modules in another.
	parts="$image linux-headers-$release linux-headers-$base-common linux-kbuild-$base"
	for part in "linux-base-$release" "linux-binary-$release" "linux-modules-$release"; do
		if apt-cache show "$part" >/dev/null 2>&1; then parts="$parts $part"; fi
	done
	# shellcheck disable=SC2086 # a list of names
	if (cd "$work/kernel" && apt-get -qq download $parts >&2); then
		break
	fi
	release=
done
[ -n "${release:-}" ] || die "no complete set of image, headers and kbuild could be downloaded from trixie-backports"
for deb in "$work"/kernel/*.deb; do
	dpkg-deb -x "$deb" "$work/root"
done

compiler=$(dpkg-deb -f "$(ls "$work"/kernel/linux-headers-"$release"_*.deb)" Depends | grep -o 'gcc-[0-9]*' | head -n 1)
apt-get -qq -y --download-only install make "${compiler:-gcc}" libc6-dev libelf1t64 kmod dash coreutils sed grep gawk \
	findutils diffutils >&2 || die "the compiler of Linux $release could not be downloaded"
unpack_archives "$work" "$work/toolchain"
ln -sf gawk "$work/toolchain/usr/bin/awk"
mkdir -p "$work/toolchain/proc" "$work/toolchain/dev" "$work/toolchain/tmp"
rm -rf "$work/apt" "$work/kernel"

# The image may lie with its modules.
root=$work/root
[ -d "$root/lib/modules" ] || ln -s usr/lib "$root/lib"
mkdir -p "$root/boot"
for image in "$root/boot/vmlinuz-$release" "$root/usr/lib/modules/$release/vmlinuz"; do
	if [ -e "$image" ] && [ ! -e "$root/boot/vmlinuz-$release" ]; then
		ln "$image" "$root/boot/vmlinuz-$release"
	fi
done
[ -e "$root/boot/vmlinuz-$release" ] || die "no image in the packages of Linux $release"
depmod -b "$root" "$release"
# The headers' Makefile names /usr/src; point it where the tree will live.
sed -i "s#/usr/src/#$out/root/usr/src/#g" "$root/usr/src/linux-headers-$release/Makefile"
echo "$release" >"$work/release"
put_in_place
