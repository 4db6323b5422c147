// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"shim6/cgad/autoconf"
	"shim6/cgad/run"
)

// ask calls f with the socket of the daemon.
func (p *program) ask(f func(path string) error) error {
	path := p.socket
	if path == "" {
		c, err := p.load()
		if err != nil {
			return err
		}
		path = c.Socket
	}
	return f(path)
}

func (p *program) reload(ctx context.Context) error {
	return p.ask(func(path string) error { return run.AskReload(ctx, path) })
}

func (p *program) status(ctx context.Context) error {
	var s run.Status
	err := p.ask(func(path string) (err error) {
		s, err = run.Ask(ctx, path)
		return err
	})
	switch {
	case err != nil:
		return err
	case p.json:
		e := json.NewEncoder(p.stdout)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	return printStatus(p.stdout, s)
}

func printStatus(out io.Writer, s run.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "cgad %s, process %d, since %s\n", s.Version, s.PID, s.Started.Local().Format(time.DateTime))
	for _, l := range s.Links {
		state := "up"
		if !l.Up {
			state = "down"
		}
		fmt.Fprintf(w, "\n%s  %s\n", l.Name, state)
		for _, a := range l.Addresses {
			printAddress(w, a)
		}
		for _, r := range l.Routers {
			fmt.Fprintf(w, "  router %v\t%s\tpreference %s\tprefixes %v\n", r.Addr, lifetime(r.LifetimeSeconds, "no default router"), r.Preference, r.Prefixes)
		}
	}
	if len(s.Rules) > 0 {
		fmt.Fprintln(w)
	}
	for _, r := range s.Rules {
		fmt.Fprintf(w, "rule from %v\ttable %d\tpreference %s\n", r.Prefix, r.Table, r.Preference)
	}
	if len(s.Counters) > 0 {
		fmt.Fprintln(w)
	}
	for _, reason := range slices.Sorted(maps.Keys(s.Counters)) {
		fmt.Fprintf(w, "refused: %s\t%d\n", reason, s.Counters[reason])
	}
	return w.Flush()
}

func printAddress(w io.Writer, a autoconf.AddressStatus) {
	name := "in " + a.Prefix.String()
	if a.Addr.IsValid() {
		name = a.Addr.String()
	}
	fmt.Fprintf(w, "  %s\t%s\t%s %s\tpreferred %s\tvalid %s\n", name, a.State, a.Method, a.Identity, lifetime(a.PreferredSeconds, "no more"), lifetime(a.ValidSeconds, "no more"))
}

// lifetime prints seconds; none is what zero means.
func lifetime(seconds int64, none string) string {
	switch {
	case seconds < 0:
		return "for ever"
	case seconds == 0:
		return none
	}
	return (time.Duration(seconds) * time.Second).String()
}
