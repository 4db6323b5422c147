#!/bin/sh
# SPDX-License-Identifier: MIT
# build-kernel.sh SERIES OUT: build the debug kernel SERIES (debug-uml or debug-smp) from Debian's kernel source, with the
# options in debugkernel/, and lay it out under OUT as fetch-kernel.sh does. OUT/key tells the version of the source and the
# options; while both are the same there is nothing to do.
set -eu
series=$1 out=$2
die() { echo "build-kernel: $*" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
case $series in
debug-uml) arch=um target=linux image=linux kernel_arch=um ;;
debug-smp) arch=x86_64 target=bzImage image=arch/x86/boot/bzImage kernel_arch=x86 ;;
*) die "$series is no debug kernel" ;;
esac
options=$(cat "$here/debugkernel/common.config" "$here/debugkernel/${series#debug-}.config")
package=linux-source-6.12
version=$(apt-cache policy $package | sed -n 's/^ *Candidate: //p')
case $version in
'' | '(none)') die "apt does not know $package: run apt-get update" ;;
esac
patches=$(ls "$here/debugkernel/${series#debug-}".patch 2>/dev/null || true)
key="$version $(echo "$options" | cat - $patches | sha256sum | cut -c1-16)"
[ -s "$out/release" ] && [ "$(cat "$out/key")" = "$key" ] && exit 0
for p in flex bison bc patch; do
	command -v $p >/dev/null || die "$p is missing: apt-get install $p"
done
[ -e /usr/include/gelf.h ] || die "gelf.h is missing: apt-get install libelf-dev"
command -v depmod >/dev/null || PATH=$PATH:/sbin:/usr/sbin
command -v depmod >/dev/null || die "depmod is missing: apt-get install kmod"

. "$here/in-one-piece.sh"
mkdir "$work/tree"
(cd "$work" && apt-get -o APT::Sandbox::User=root -qq download "$package=$version" >&2)
dpkg-deb --fsys-tarfile "$work"/*.deb | tar -xO --wildcards '*/linux-source-*.tar.xz' | tar -xJ -C "$work/tree" --strip-components=1
rm -f "$work"/*.deb
cd "$work/tree"
for p in $patches; do
	patch -p1 --quiet --fuzz=0 <"$p" >&2
done

# An option that depends on one that is not there vanishes without a word.
echo "$options" >"$work/options"
make -s ARCH=$arch KCONFIG_ALLCONFIG="$work/options" allnoconfig >&2
grep -E '^(# )?CONFIG_' "$work/options" | while read -r line; do
	name=$(echo "$line" | grep -o 'CONFIG_[A-Za-z0-9_]*')
	case $line in
	'#'*) ! grep -q "^$name=" .config ;;
	*) grep -qxF "$line" .config ;;
	esac || echo "$line"
done >"$work/lost"
[ ! -s "$work/lost" ] || die "this kernel does not take the options $(tr '\n' ',' <"$work/lost")"

echo "build-kernel: building Linux $version for $series, which takes 10 to 20 minutes on 2 processors" >&2
log=$out.log
if ! make ARCH=$arch -j"$(nproc)" $target modules >"$log" 2>&1; then
	tail -n 30 "$log" >&2
	die "the build failed, see $log"
fi
rm -f "$log"
release=$(make -s ARCH=$arch kernelrelease)
mkdir -p "$work/root/boot" "$work/root/usr/src"
cp $image "$work/root/boot/vmlinuz-$release"
cp .config "$work/root/boot/config-$release"
make -s ARCH=$arch INSTALL_MOD_PATH="$work/root" modules_install >&2
depmod -b "$work/root" "$release"
rm -f "$work/root/lib/modules/$release/build" "$work/root/lib/modules/$release/source"

# What modules are built with: the headers and the build's own tools, at a quarter of the room.
headers=$work/root/usr/src/linux-headers-$release
mkdir -p "$headers"
mv .config Makefile Kbuild Kconfig Module.symvers include scripts tools "$headers"
mkdir -p "$headers/arch"
mv arch/um arch/x86 "$headers/arch"
find "$headers" -type f \( -name '*.o' -o -name '*.a' -o -name '*.cmd' -o -name bzImage -o -name vmlinux -o -name 'vmlinux.bin*' \) \
	! -path "*/scripts/*" ! -path "*/arch/$kernel_arch/include/*" -delete
find "$headers/tools" -mindepth 1 -maxdepth 1 ! -name objtool ! -name build ! -name scripts ! -name include -exec rm -rf {} +
cd /
rm -rf "$work/tree" "$work/options" "$work/lost"
echo "$key" >"$work/key"
echo "$release" >"$work/release"
put_in_place
