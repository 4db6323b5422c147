#!/bin/sh
# SPDX-License-Identifier: MIT
# setup.sh: install what the build and the lab need and this machine lacks. It says what it installs before it does.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
die() { echo "setup: $*" >&2; exit 1; }

# What is needed, and the Debian package that has it.
programs='gcc:gcc qemu-system-x86_64:qemu-system-x86 iperf3:iperf3 ip:iproute2 busybox:busybox-static depmod:kmod'
missing=
for p in $programs; do
	command -v "${p%%:*}" >/dev/null || missing="$missing ${p#*:}"
done
# The kernel's headers bring objtool, which is linked against libelf.
[ -e /usr/lib/x86_64-linux-gnu/libelf.so.1 ] || missing="$missing libelf1"
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "not root and no sudo: cannot run $*"
	fi
}
if [ -n "$missing" ]; then
	echo "setup: installing Debian packages:$missing" >&2
	command -v apt-get >/dev/null || die "no apt-get here: install these by hand"
	as_root apt-get update -qq
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
