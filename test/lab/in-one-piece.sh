# SPDX-License-Identifier: MIT
# To be sourced where $out names what is to be made. It is made in the folder $work, which is gone when the script ends before
# put_in_place; $out is absolute from here on.
mkdir -p "$(dirname "$out")"
out=$(cd "$(dirname "$out")" && pwd)/$(basename "$out")
work=$out.tmp.$$
rm -rf "$work"
mkdir "$work"
trap 'rm -rf "$work"' EXIT

# put_in_place makes $work what $out names, in place of what was there.
put_in_place() {
	rm -rf "$out"
	mv "$work" "$out"
	trap - EXIT
}
