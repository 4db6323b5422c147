#!/bin/sh
# SPDX-License-Identifier: MIT
# fetch-debian.sh SERIES OUT: make the disk of a machine that runs Debian 12 and nothing else, with Debian's kernel of the series,
# 6.1 or 6.12, and what DKMS needs to build modules for it and for another kernel 6.1, of which only the headers are there: those of
# 6.12 bring their kernel with them. OUT/disk is the disk, OUT/vmlinuz and OUT/initrd are what it boots, OUT/release and OUT/other the kernels' releases;
# OUT/done has the sum of this script when everything is in place as it says.
set -eu
series=$1 out=$2
sum=$(cksum <"$0")
[ "$(cat "$out/done" 2>/dev/null)" != "$sum" ] || exit 0
echo "fetch-debian: putting together Debian 12 with Linux $series" >&2
die() { echo "fetch-debian: $*" >&2; exit 1; }
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
security=${DEBIAN_SECURITY_MIRROR:-http://deb.debian.org/debian-security}
case $series in
6.1) own=amd64 ;;
6.12) own=6.12-amd64 ;;
*) die "Debian 12 has kernels 6.1 and 6.12, not $series" ;;
esac
for program in mmdebstrap genext2fs debugfs; do
	command -v $program >/dev/null || PATH=$PATH:/usr/sbin:/sbin
	command -v $program >/dev/null || die "$program is missing: apt-get install mmdebstrap genext2fs e2fsprogs"
done
. "$(dirname "$0")/in-one-piece.sh"

# The newest headers that can be had and are not of the kernel that is there. Its package would have had depmod write what there is
# to know of its modules: DKMS does that again for whatever it adds or removes, so those files belong to the kernel.
other='
for headers in $(apt-cache pkgnames linux-headers-6.1.0- | grep -E "^linux-headers-6\.1\.0-[0-9]+-amd64$" | sort -rV); do
	[ ! -e "/lib/modules/${headers#linux-headers-}" ] || continue
	apt-get -qq --yes --no-install-recommends install "$headers" >/dev/null || continue
	depmod "${headers#linux-headers-}"
	exit 0
done
exit 1'
# All that the lab adds to the system: what starts its agent, from the archive that is the second disk. /run is small, and not for
# programs.
cat >"$work/lab.service" <<'END'
[Unit]
Description=Agent of the lab
After=systemd-user-sessions.service
[Service]
ExecStart=/bin/sh -ec 'mkdir /run/lab; mount -t tmpfs -o mode=755,size=1g tmpfs /run/lab; cd /run/lab; cpio -idm --quiet </dev/disk/by-id/virtio-lab; exec chroot . /init'
KillMode=process
[Install]
WantedBy=multi-user.target
END
mmdebstrap --quiet --variant=important --format=tar \
	--include="dkms,initramfs-tools,linux-image-$own,linux-headers-$own" --customize-hook="chroot \"\$1\" sh -euc '$other'" \
	--customize-hook="upload $work/lab.service /etc/systemd/system/lab.service" \
	--customize-hook='chroot "$1" systemctl -q enable lab.service' \
	bookworm "$work/root.tar" "deb $mirror bookworm main" "deb $mirror bookworm-updates main" "deb $security bookworm-security main" ||
	die "Debian 12 could not be put together"
genext2fs --block-size 4096 --size-in-blocks 786432 --number-of-inodes 262144 --allow-holes --tarball "$work/root.tar" "$work/disk" ||
	die "the disk could not be written"
rm "$work/lab.service" "$work/root.tar"
debugfs -R "rdump /boot $work" "$work/disk" >/dev/null 2>&1
release=$(ls "$work/boot" | sed -n 's/^vmlinuz-//p')
mv "$work/boot/vmlinuz-$release" "$work/vmlinuz"
mv "$work/boot/initrd.img-$release" "$work/initrd"
rm -rf "$work/boot"
echo "$release" >"$work/release"
debugfs -R 'ls -p /lib/modules' "$work/disk" 2>/dev/null | cut -d/ -f6 | grep -v -e '^\.' -e "^$release\$" -e '^$' >"$work/other" ||
	die "the headers of the other kernel are missing"
echo "$sum" >"$work/done"
put_in_place
