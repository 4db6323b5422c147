// SPDX-License-Identifier: MIT

// Package bench measures, in a guest, what the module costs: instructions per packet and per octet, memory per context.
//
// How to read the numbers. The guest runs by the instruction clock: one nanosecond of its time is one instruction of its one
// processor, so a difference of two times is a number of instructions, whatever else this machine does. There are no cycles,
// caches, cache misses or locks that several processors want: compare the numbers with each other, not with packets per
// second of a machine.
//
// One processor carries sender, router and receiver. A packet's cost is all that happens from the sender's system call to the
// end of the receiver's, both included; "direct" is two hosts on one link, "routed" has a router between them, which dilutes
// a ratio and leaves a difference as it is. What a technique costs is the difference to "plain" of the same topology and load,
// for both hosts together. The ratio to plain is plain's instructions divided by the technique's: 1 is free, 0.5 is half the
// throughput.
//
// Loads: udp64 is 64 octets of UDP payload on connected sockets, 16 packets sent and then received. tcp-tso is one TCP
// connection whose 64 KB packets cross the link whole, tcp-sw one whose sender's kernel has to segment them, tcp-gro that
// with a receiver that merges them again.
//
// What hooks cost at least: a context that does not rewrite has one at LOCAL_OUT and one at PRE_ROUTING. With nothing in either,
// Linux 6.12 takes 136 instructions more for a packet of udp64 and reaches 0.9945 of plain in tcp-tso, where 64 KB are 2.1
// packets, acknowledgments included.
//
// Every technique has namespaces of its own, so that none pays for what another has set up in them. They take turns, and
// each has its turn in every repetition; what is shown is the median, and the spread is the greatest less the smallest in
// percent of it. Within one boot, repetitions differ by interrupts of the clock and by TCP's dynamics.
package bench
