// SPDX-License-Identifier: MIT

// Package run is shim6d around its engine: it turns what sockets, the kernel, the network's configuration, operators and
// clocks say into events, and the engine's actions into input and output.
//
// One goroutine, the Loop's, owns the engine and is the only one that reads the clock. The others wait on one thing each and
// hand what they get to it: the raw socket, the kernel's events, address changes, two workers that sign and verify, and the
// goroutines of the control server. What could make the loop wait is not done in it: packets, logs and the file of saved
// contexts go through queues that drop, and count, what does not fit.
package run
