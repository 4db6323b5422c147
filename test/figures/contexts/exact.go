// SPDX-License-Identifier: MIT

package contexts

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"time"

	"shim6/test/figures/trace"
)

// Exact is the simulation without any cleverness: it has the whole trace before it, takes one pair after the other and one
// policy after the other, and counts contexts from the list of their beginnings and ends.
func Exact(p Policy, local func(netip.Addr) bool, packets []trace.Record) *Count {
	type span struct {
		host       netip.Addr
		begin, end time.Time
	}
	c := &Count{Policy: p, Hosts: make(map[netip.Addr]*Host)}
	var spans []span
	var keys []pairKey
	for _, r := range packets {
		for _, k := range []pairKey{{r.Src, r.Dst}, {r.Dst, r.Src}} {
			if local(k.host) && !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	for _, k := range keys {
		var open *span
		var first, last time.Time
		var bytes uint64
		had := false
		for _, r := range packets {
			if r.Src == k.host && r.Dst == k.peer || r.Dst == k.host && r.Src == k.peer {
				if open != nil && r.Start.Sub(last) >= p.Idle {
					open.end = last.Add(p.Idle)
					spans = append(spans, *open)
					open, had, first = nil, true, time.Time{}
				}
				if open == nil {
					if first.IsZero() || r.Start.Sub(last) >= p.Forget {
						first, bytes = r.Start, 0
					}
					bytes += r.Bytes
					if p.Bytes == 0 && p.After == 0 || p.Bytes > 0 && bytes >= p.Bytes || p.After > 0 && r.Start.Sub(first) >= p.After {
						open = &span{host: k.host, begin: r.Start}
						c.SetUps++
						if had {
							c.Again++
						}
					}
				}
				last = r.Start
			}
		}
		if open != nil {
			open.end = last.Add(p.Idle)
			spans = append(spans, *open)
		}
	}
	end := packets[len(packets)-1].Start
	perSecond := make(map[int64]int)
	for _, s := range spans {
		h := c.Hosts[s.host]
		if h == nil {
			h = new(Host)
			c.Hosts[s.host] = h
		}
		h.SetUps++
		perSecond[s.begin.Unix()]++
		c.PeakSetUps = max(c.PeakSetUps, perSecond[s.begin.Unix()])
		if s.end.After(end) {
			c.Mean += end.Sub(s.begin).Seconds()
		} else {
			c.Mean += s.end.Sub(s.begin).Seconds()
		}
		// The most contexts are there when one begins; one that ends at that moment is gone.
		now, ofHost := 0, 0
		for _, o := range spans {
			if !o.begin.After(s.begin) && o.end.After(s.begin) {
				now++
				if o.host == s.host {
					ofHost++
				}
			}
		}
		c.Peak, h.Peak = max(c.Peak, now), max(h.Peak, ofHost)
	}
	c.Mean /= end.Sub(packets[0].Start).Seconds()
	return c
}

// Compare plays packets, which must be few, through the simulation and the exact count. It tells the first difference, and how many
// packets there were.
func Compare(policies []Policy, local func(netip.Addr) bool, in Packets) (diff string, packets int, err error) {
	var list []trace.Record
	for {
		r, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", 0, err
		}
		list = append(list, r)
	}
	s, err := New(policies, local, 0, nil)
	if err != nil {
		return "", 0, err
	}
	got, err := s.Play(&played{list})
	if err != nil {
		return "", 0, err
	}
	for k, p := range policies {
		if want := Exact(p, local, list); !equal(want, got[k]) {
			return fmt.Sprintf("policy %s, %v: exact %+v, simulated %+v", p.Name, p.Idle, want, got[k]), len(list), nil
		}
	}
	return "", len(list), nil
}

func equal(a, b *Count) bool {
	if a.SetUps != b.SetUps || a.Again != b.Again || a.Peak != b.Peak || a.PeakSetUps != b.PeakSetUps || len(a.Hosts) != len(b.Hosts) {
		return false
	}
	for host, x := range a.Hosts {
		if y := b.Hosts[host]; y == nil || x.Peak != y.Peak || x.SetUps != y.SetUps {
			return false
		}
	}
	return math.Abs(a.Mean-b.Mean) <= 1e-6*math.Max(1, a.Mean)
}

// played gives packets from memory.
type played struct{ left []trace.Record }

func (l *played) Next() (trace.Record, error) {
	if len(l.left) == 0 {
		return trace.Record{}, io.EOF
	}
	r := l.left[0]
	l.left = l.left[1:]
	return r, nil
}
