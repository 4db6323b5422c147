# SPDX-License-Identifier: MIT
# To be sourced: package lists of Debian's own, apart from those of this machine, whose package sources stay as they are and which
# gets nothing installed.

# private_apt FOLDER SUITE...: from here on apt-get and apt-cache know those suites, and what they fetch lies below FOLDER/apt.
private_apt() {
	folder=$(cd "$1" && pwd)/apt
	shift
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -e $keyring ] || die "$keyring is missing: apt-get install debian-archive-keyring"
	mkdir -p "$folder/lists/partial" "$folder/archives/partial"
	for suite; do
		echo "deb [signed-by=$keyring] ${DEBIAN_MIRROR:-http://deb.debian.org/debian} $suite main"
	done >"$folder/sources.list"
	: >"$folder/status"
	cat >"$folder/apt.conf" <<-END
		Dir::Etc::sourcelist "$folder/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Dir::State "$folder";
		Dir::State::lists "$folder/lists";
		Dir::State::status "$folder/status";
		Dir::Cache "$folder";
		Dir::Cache::archives "$folder/archives";
		APT::Sandbox::User "root";
		APT::Architecture "amd64";
		APT::Install-Recommends "false";
		Acquire::Languages "none";
	END
	export APT_CONFIG="$folder/apt.conf"
	apt-get -qq update || die "the package lists of $1 could not be fetched"
}

# unpack_archives FOLDER ROOT: unpack what apt-get downloaded below FOLDER/apt into ROOT.
unpack_archives() {
	# Debian's folders are merged into /usr; unpacked without it, a package would make a folder of the link's name.
	for dir in bin sbin lib lib64; do
		mkdir -p "$2/usr/$dir"
		ln -s "usr/$dir" "$2/$dir"
	done
	for deb in "$1"/apt/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$2"
	done
}
