#!/bin/sh
# SPDX-License-Identifier: MIT
# install-headers.sh TO BUILT RELEASE: put into TO what a heuristic outside this tree is built with. BUILT is the folder
# in which build.sh has built the modules for the kernel RELEASE.
set -eu
cd "$(dirname "$0")/.."
install -D -m 644 kmod/heuristic.h "$1/heuristic.h"
install -D -m 644 kmod/uapi/linux/shim6.h "$1/linux/shim6.h"
install -D -m 644 "$2/Module.symvers" "$1/$3/Module.symvers"
