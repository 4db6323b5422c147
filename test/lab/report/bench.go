// SPDX-License-Identifier: MIT

package report

// The case that measures what the module costs, and the file with its Bench.
const (
	BenchCase = "bench-kernel"
	BenchName = "bench.json"
	// BenchParam are the names of what to measure, separated by commas; everything when it is missing.
	BenchParam = "measure"
)

// Measurements are the names of what there is to measure, in the order in which it is.
var Measurements = []string{"scale", "udp64", "tcp-tso", "tcp-sw", "tcp-gro", "kick"}

// A Bench is what the guest measured. Instructions are of the guest's only processor.
type Bench struct {
	Costs  []Cost
	Memory *Memory `json:",omitempty"` // nil when it was not to be measured
	Kick   *Kick   `json:",omitempty"` // likewise
}

// A Cost is what it took one technique to move so much, once for each repetition.
type Cost struct {
	Load, Topology, Technique string
	Packets, Octets           int64 // of payload, in each repetition
	Instructions              []int64
	Stalls                    int // sender and receiver had to wait, so that idle time may be among the instructions
}

// Memory is what contexts take.
type Memory struct {
	Contexts     int
	Slab         int64 // octets more than before, of all slabs
	PerCPU       int64 // octets more, for all CPUs that the guest could have
	Free         int64 // octets less
	State        int64 // of one xfrm state, which is in a slab too
	CPUs         int   // that the guest could have
	Instructions int64 // to make all of them, by netlink
}

// Kick is what happens to TCP connections at a path change.
type Kick struct {
	Sockets int     // that had sent what was lost
	Reached int64   // by the first pass over the table of connections
	Resumed int     // whose data arrived then
	TookMS  float64 // from the path change to the last of that
	// A pass over a table without connections of so many buckets, and the request that causes it.
	Buckets          [2]int
	PassInstructions [2][]int64
}
