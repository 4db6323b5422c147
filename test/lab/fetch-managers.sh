#!/bin/sh
# SPDX-License-Identifier: MIT
# fetch-managers.sh OUT: download Debian 12's systemd-networkd, NetworkManager and ifupdown with all that they need and unpack
# them under OUT/root, for guests of the lab. Nothing is installed on this machine. OUT/done exists when everything is in place.
set -eu
out=$1
[ ! -e "$out/done" ] || exit 0
die() { echo "fetch-managers: $*" >&2; exit 1; }
suite=bookworm mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e $keyring ] || die "$keyring is missing: apt-get install debian-archive-keyring"

work=$out.tmp.$$
rm -rf "$work"
mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial" "$work/root"
trap 'rm -rf "$work"' EXIT
work=$(cd "$work" && pwd)
echo "deb [signed-by=$keyring] $mirror $suite main" >"$work/apt/sources.list"
: >"$work/apt/status"
cat >"$work/apt/apt.conf" <<END
Dir::Etc::sourcelist "$work/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$work/apt";
Dir::State::lists "$work/apt/lists";
Dir::State::status "$work/apt/status";
Dir::Cache "$work/apt";
Dir::Cache::archives "$work/apt/archives";
APT::Sandbox::User "root";
APT::Architecture "amd64";
APT::Install-Recommends "false";
Acquire::Languages "none";
END
export APT_CONFIG="$work/apt/apt.conf"
apt-get -qq update || die "the package lists of $suite could not be fetched"
apt-get -qq -y --download-only install systemd network-manager dbus ifupdown iproute2 procps dash coreutils >&2 ||
	die "the packages could not be downloaded"
# Debian's folders are merged into /usr; unpacked without it, a package would make a folder of the link's name.
for dir in bin sbin lib lib64; do
	mkdir -p "$work/root/usr/$dir"
	ln -s "usr/$dir" "$work/root/$dir"
done
for deb in "$work"/apt/archives/*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$work/root"
done
# Neither is of use in a guest.
rm -rf "$work/apt" "$work/root/usr/share/doc" "$work/root/usr/share/locale" "$work/root/usr/share/man"
: >"$work/done"
rm -rf "$out"
mkdir -p "$(dirname "$out")"
mv "$work" "$out"
trap - EXIT
