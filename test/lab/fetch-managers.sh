#!/bin/sh
# SPDX-License-Identifier: MIT
# fetch-managers.sh OUT: download Debian 12's systemd-networkd, NetworkManager and ifupdown with all that they need and unpack
# them under OUT/root, for guests of the lab. Nothing is installed on this machine. OUT/done exists when everything is in place.
set -eu
out=$1
[ ! -e "$out/done" ] || exit 0
die() { echo "fetch-managers: $*" >&2; exit 1; }
. "$(dirname "$0")/private-apt.sh"

. "$(dirname "$0")/in-one-piece.sh"
mkdir "$work/root"
private_apt "$work" bookworm
apt-get -qq -y --download-only install systemd network-manager dbus ifupdown iproute2 procps dash coreutils >&2 ||
	die "the packages could not be downloaded"
unpack_archives "$work" "$work/root"
# Neither is of use in a guest.
rm -rf "$work/apt" "$work/root/usr/share/doc" "$work/root/usr/share/locale" "$work/root/usr/share/man"
: >"$work/done"
put_in_place
