// SPDX-License-Identifier: MIT

package report

// A Footprint is the memory that some contexts take.
type Footprint struct {
	Contexts int
	Daemon   int64 // octets of shim6d
	Kernel   int64 // octets of the kernel's objects
}

// MemoryName is the file with a list of Footprint.
const MemoryName = "memory.json"
