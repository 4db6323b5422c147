// SPDX-License-Identifier: MIT

// Package cross holds those scripts of the simulator that the lab carries out too, with real kernels and daemons. Each file is a
// script for package sim, a line of dashes, and what comes out there.
package cross

import "embed"

// Scripts has the files.
//
//go:embed *.txt
var Scripts embed.FS
