#!/bin/sh
# SPDX-License-Identifier: MIT
# setup.sh [SERIES|managers|qemu|debian-SERIES...]: install what the build and the lab need and this machine lacks, and fetch the kernels
# of the named series, the network managers that guests run, a QEMU with a processor of today, or a whole Debian with such a kernel. It
# says what it installs before it does.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
cache=${SHIM6_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/shim6}
say() { echo "setup: $*" >&2; }
die() { say "$*"; exit 1; }

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "not root and no sudo here: run as root: $*"
	fi
}

install() {
	say "installing Debian packages: $*"
	command -v apt-get >/dev/null || die "no apt-get here: install them by hand"
	as_root apt-get update -qq
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Programs and the packages that have them.
missing=
for p in gcc:gcc qemu-system-x86_64:qemu-system-x86 iperf3:iperf3 ip:iproute2 busybox:busybox-static depmod:kmod openssl:openssl \
	qemu-aarch64-static:qemu-user-static radvd:radvd nft:nftables wg:wireguard-tools systemd-analyze:systemd; do
	command -v "${p%%:*}" >/dev/null || missing="$missing ${p#*:}"
done
case " $* " in
*' debug-'*)
	for p in flex:flex bison:bison bc:bc patch:patch xz:xz-utils; do
		command -v "${p%%:*}" >/dev/null || missing="$missing ${p#*:}"
	done
	[ -e /usr/include/gelf.h ] || missing="$missing libelf-dev"
	;;
esac
case " $* " in
*' debian-'*)
	for p in mmdebstrap:mmdebstrap genext2fs:genext2fs debugfs:e2fsprogs dpkg-buildpackage:dpkg-dev dh:debhelper dh_dkms:dh-dkms \
		lintian:lintian; do
		command -v "${p%%:*}" >/dev/null || missing="$missing ${p#*:}"
	done
	;;
esac
# Headers for the race detector, and what the kernel's own build tools are linked against.
[ -e /usr/include/stdlib.h ] || missing="$missing libc6-dev"
[ -e /usr/lib/x86_64-linux-gnu/libelf.so.1 ] || missing="$missing libelf1"
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
# shellcheck disable=SC2086 # a list of names
[ -z "$missing" ] || install $missing

# Go, at least as new as go.mod says.
need=$(sed -n 's/^go //p' go.mod)
new_enough() {
	command -v "$1" >/dev/null || return 1
	have=$(cd / && GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
	[ "$(printf '%s\n%s\n' "$need" "${have#go}" | sort -V | head -n 1)" = "$need" ]
}
if ! new_enough go && ! new_enough "$cache/go/bin/go"; then
	# Any Go can fetch a newer one from the module proxy, checked against the public checksum database.
	command -v go >/dev/null || install golang-go
	say "fetching Go $need into $cache/go"
	module=golang.org/toolchain@v0.0.1-go$need.linux-amd64
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/go.XXXXXX")
	trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
	(cd / && GOTOOLCHAIN=local GOFLAGS=-modcacherw GOMODCACHE="$work" go mod download "$module") || die "Go $need could not be fetched"
	chmod 755 "$work/$module"/bin/* "$work/$module"/pkg/tool/*/*
	rm -rf "$cache/go"
	mv "$work/$module" "$cache/go"
	new_enough "$cache/go/bin/go" || die "the fetched Go does not run"
fi

for series; do
	case $series in
	managers)
		test/lab/fetch-managers.sh "$cache/managers"
		continue
		;;
	qemu)
		test/lab/fetch-qemu.sh "$cache/qemu"
		continue
		;;
	debian-*)
		test/lab/fetch-debian.sh "${series#debian-}" "$cache/debian/${series#debian-}"
		continue
		;;
	esac
	out=$cache/kernel/$series
	case $series in
	debug-*) ;; # is built again when its options or its source have changed
	*) [ ! -s "$out/release" ] || continue ;;
	esac
	[ -s "$out/release" ] || { say "fetching Linux $series into $out"; as_root apt-get update -qq; }
	test/lab/fetch-kernel.sh "$series" "$out"
done
