// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"strings"

	"shim6/daemon/ctl"
)

// printEvent prints the time, what happened and the tag, and below it, indented, the addresses and the reason.
func (e *env) printEvent(ev ctl.Event) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s", ev.Time.Local().Format("15:04:05.000"), ev.Event)
	if ev.Tag != "" {
		fmt.Fprintf(&b, "  %s", ev.Tag)
	}
	below := ev.Pair
	switch ev.Event {
	case ctl.EventPathChanged:
		below = fmt.Sprintf("from %s\nto %s", ev.From, ev.To)
	case ctl.EventReapChanged:
		fmt.Fprintf(&b, "  %s -> %s", ev.From, ev.To)
	case ctl.EventStateChanged:
		fmt.Fprintf(&b, "  %s -> %s", ev.From, ev.To)
		below = ctl.Pair{Local: ev.ULIDLocal, Peer: ev.ULIDPeer}.String()
	case ctl.EventTCPKick:
		below = ctl.Pair{Local: ev.ULIDLocal, Peer: ev.ULIDPeer}.String()
	case ctl.EventDropped:
		below = ctl.Pair{Local: ev.Src, Peer: ev.Dst}.String()
	}
	for _, s := range []string{ev.Type, ev.State, ev.Reason} {
		if s != "" {
			fmt.Fprintf(&b, "  %s", s)
		}
	}
	if ev.Reports != nil {
		fmt.Fprintf(&b, "  %d reports", *ev.Reports)
	}
	if ev.Sockets != nil {
		fmt.Fprintf(&b, "  %d sockets", *ev.Sockets)
	}
	if ev.Count != nil {
		fmt.Fprintf(&b, "  %d", *ev.Count)
	}
	b.WriteByte('\n')
	// A locator pair takes two lines: both addresses may be 39 characters long.
	below = strings.ReplaceAll(below, " -> ", "\n  -> ")
	for _, s := range append(strings.Split(below, "\n"), ev.Why, ev.Detail) {
		if s != "" {
			fmt.Fprintf(&b, "              %s\n", printable(s))
		}
	}
	_, err := fmt.Fprint(e.stdout, b.String())
	return err
}
