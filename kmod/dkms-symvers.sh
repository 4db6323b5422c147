#!/bin/sh
# SPDX-License-Identifier: MIT
# dkms-symvers.sh add|remove RELEASE, run by DKMS in the build folder: what a heuristic of others is linked against.
set -eu
to=/usr/include/shim6/$2
case $1 in
add) install -D -m 644 Module.symvers "$to/Module.symvers" ;;
remove) rm -rf "$to" ;;
esac
