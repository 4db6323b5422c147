// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"strings"
	"time"

	"shim6/daemon/ctl"
)

// pathWords tells what is known of a path.
func pathWords(p ctl.Path) string {
	var words []string
	switch {
	case p.Current:
		words = append(words, "current")
	case p.InKernel:
		words = append(words, "usable")
	}
	if p.RTTMS > 0 {
		words = append(words, "rtt "+rtt(p.RTTMS))
	}
	if loss, ok := p.Loss(); ok {
		words = append(words, fmt.Sprintf("loss %.0f%% of %d probes", 100*loss, p.Probes))
	} else {
		words = append(words, "not probed yet")
	}
	if p.TxPackets+p.RxPackets > 0 {
		words = append(words, fmt.Sprintf("%d/%d packets out/in", p.TxPackets, p.RxPackets))
	}
	return strings.Join(words, ", ")
}

// rtt prints fractional milliseconds.
func rtt(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	if d < 10*time.Millisecond {
		return d.Round(time.Microsecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}

func (e *env) printPaths(list []ctl.ContextPath) {
	if len(list) == 0 {
		fmt.Fprintln(e.stdout, "no paths")
	}
	last := ""
	for _, p := range list {
		if p.Tag != last {
			last = p.Tag
			fmt.Fprintf(e.stdout, "%s  with %s\n", p.Tag, p.ULIDPeer)
		}
		fmt.Fprintf(e.stdout, "  %s\n    -> %s\n", p.Local, p.Peer)
		e.wrapped("    ", pathWords(p.Path))
	}
}

func (e *env) printFlows(list []ctl.Flow) {
	if len(list) == 0 {
		fmt.Fprintln(e.stdout, "no flows without a context")
	}
	for _, f := range list {
		wanted := ""
		if f.Wanted {
			wanted = ", wanted"
		}
		fmt.Fprintf(e.stdout, "%s\n  -> %s\n", f.ULIDLocal, f.ULIDPeer)
		fmt.Fprintf(e.stdout, "  %s: %d packets, %d octets in %s%s\n", f.Code, f.Packets, f.Bytes,
			(time.Duration(f.AgeMS) * time.Millisecond).Round(100*time.Millisecond), wanted)
	}
}
