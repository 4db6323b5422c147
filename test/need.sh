#!/bin/sh
# SPDX-License-Identifier: MIT
# need.sh PROGRAM:PACKAGE...: fail and say which Debian packages are missing.
PATH=$PATH:/usr/sbin:/sbin
missing=
for p; do
	command -v "${p%%:*}" >/dev/null || missing="$missing ${p#*:}"
done
[ -z "$missing" ] || { echo "missing: apt-get install$missing" >&2; exit 1; }
