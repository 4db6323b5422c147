// SPDX-License-Identifier: MIT

package contexts

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"shim6/test/figures/trace"
)

var t0 = time.Unix(1217548800, 0)

func host(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }

// server tells that hosts 1 to 9 are local.
func server(a netip.Addr) bool { b := a.As4(); return b[2] == 0 && b[3] < 10 }

func packet(src, dst, ms int, bytes uint64) trace.Record {
	at := t0.Add(time.Duration(ms) * time.Millisecond)
	return trace.Record{Src: host(src), Dst: host(dst), Start: at, End: at, Packets: 1, Bytes: bytes}
}

func play(t *testing.T, policies []Policy, packets []trace.Record) []*Count {
	t.Helper()
	s, err := New(policies, server, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Play(&played{packets})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var all = []Policy{
	{Name: "first", Idle: 10 * time.Second},
	{Name: "first, 1 s", Idle: time.Second},
	{Name: "first, 600 s", Idle: 600 * time.Second},
	{Name: "volume", Bytes: 2048, After: 60 * time.Second, Forget: Forget, Idle: 10 * time.Second},
	{Name: "volume, 600 s", Bytes: 2048, After: 60 * time.Second, Forget: Forget, Idle: 600 * time.Second},
	{Name: "bytes", Bytes: 5000, Forget: 5 * time.Second, Idle: 3 * time.Second},
	{Name: "age", After: 7 * time.Second, Forget: 2 * time.Second, Idle: 2 * time.Second},
}

func TestTriggers(t *testing.T) {
	packets := []trace.Record{
		packet(20, 1, 0, 1000),
		packet(1, 20, 500, 1047),   // 2047 octets both ways
		packet(20, 1, 1500, 1),     // 2048; more than a second after the last
		packet(30, 1, 2000, 40),    // and nothing more
		packet(40, 41, 2000, 9999), // not local
		packet(20, 1, 12000, 1),    // 10.5 s later: collected at 11.5 s
	}
	c := play(t, all, packets)
	for name, want := range map[string]struct {
		setUps, again uint64
		peak          int
	}{
		"first": {3, 1, 2}, "first, 1 s": {4, 2, 2}, "first, 600 s": {2, 0, 2}, "volume": {1, 0, 1}, "volume, 600 s": {1, 0, 1},
		"bytes": {0, 0, 0}, "age": {0, 0, 0},
	} {
		i := slices.IndexFunc(c, func(c *Count) bool { return c.Name == name })
		if got := c[i]; got.SetUps != want.setUps || got.Again != want.again || got.Peak != want.peak {
			t.Errorf("%s: %d set-ups, %d of them again, peak %d; want %+v", name, got.SetUps, got.Again, got.Peak, want)
		}
	}
	// Context of 20 from 0 to 11.5 s and from 12 s, of 30 from 2 to 12 s: 21.5 in 12 s.
	if got := c[0].Mean; got < 21.5/12-1e-9 || got > 21.5/12+1e-9 {
		t.Errorf("mean of %g contexts, want %g", got, 21.5/12)
	}
}

// Both ends of a pair count where both are local.
func TestBothEndsCount(t *testing.T) {
	c := play(t, all[:1], []trace.Record{packet(1, 2, 0, 1)})[0]
	if c.SetUps != 2 || c.Hosts[host(1)].Peak != 1 || c.Hosts[host(2)].Peak != 1 {
		t.Errorf("%+v", c)
	}
}

// random makes packets of a few pairs whose silences are of the order of the policies' times, and often equal to them.
func random(rng *rand.Rand, n int) []trace.Record {
	silences := []int{0, 1, 100, 999, 1000, 1001, 2000, 3000, 5000, 10000, 10001, 30000, 60000, 600000}
	var packets []trace.Record
	ms := 0
	for range n {
		ms += silences[int(rng.ExpFloat64()*2)%len(silences)]
		a, b := 1+rng.IntN(3), 20+rng.IntN(6)
		if rng.IntN(10) == 0 {
			b = 1 + (a+rng.IntN(2))%3 // a local pair, or a host with itself
		}
		if rng.IntN(2) == 0 {
			a, b = b, a
		}
		packets = append(packets, packet(a, b, ms, uint64(40+rng.IntN(1500))))
	}
	return packets
}

func TestSameAsReference(t *testing.T) {
	for seed := range uint64(40) {
		packets := random(rand.New(rand.NewPCG(seed, 1)), 300)
		got := play(t, all, packets)
		for k, p := range all {
			want := Exact(p, server, packets)
			if d := cmp.Diff(want, got[k], cmpopts.EquateApprox(0, 1e-9), cmpopts.IgnoreUnexported(Host{})); d != "" {
				t.Fatalf("seed %d, policy %s (-reference +simulation):\n%s", seed, p.Name, d)
			}
		}
	}
}

// The reference itself must be able to disagree.
func TestReferenceNotices(t *testing.T) {
	packets := random(rand.New(rand.NewPCG(1, 1)), 300)
	want := Exact(all[0], server, packets)
	wrong := all[0]
	wrong.Idle += time.Millisecond * 2
	if got := play(t, []Policy{wrong}, packets)[0]; got.SetUps == want.SetUps && got.Mean == want.Mean {
		t.Error("two milliseconds more before contexts are collected make no difference")
	}
}

// What stays longer is there more often, and set up less often.
func TestMonotone(t *testing.T) {
	var policies []Policy
	for _, s := range []int{1, 2, 5, 10, 30, 60, 300, 600} {
		policies = append(policies, Policy{Name: "first", Idle: time.Duration(s) * time.Second})
	}
	for seed := range uint64(20) {
		c := play(t, policies, random(rand.New(rand.NewPCG(seed, 2)), 500))
		for i := 1; i < len(c); i++ {
			if c[i].Peak < c[i-1].Peak || c[i].Mean < c[i-1].Mean || c[i].SetUps > c[i-1].SetUps {
				t.Errorf("seed %d: %v to %v: peak %d to %d, mean %g to %g, set-ups %d to %d", seed, c[i-1].Idle, c[i].Idle, c[i-1].Peak,
					c[i].Peak, c[i-1].Mean, c[i].Mean, c[i-1].SetUps, c[i].SetUps)
			}
		}
	}
}

// Memory follows what is active, not the length of the trace.
func TestMemoryIsBounded(t *testing.T) {
	s, err := New(all, server, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	var packets []trace.Record
	for i := range 20000 {
		packets = append(packets, packet(1, 100+i, i*10000, 40)) // a new peer every 10 s
	}
	if _, err := s.Play(&played{packets}); err != nil {
		t.Fatal(err)
	}
	if want := int(Remember/(10*time.Second)) + 1; s.MaxPairs > want || len(s.pairs) > want {
		t.Errorf("%d pairs were remembered at a time, want %d at most", s.MaxPairs, want)
	}
}

func TestSamples(t *testing.T) {
	var got []string
	s, err := New(all[:1], server, 5*time.Second, func(_ int, at time.Time, n int, of func(netip.Addr) int) {
		got = append(got, fmt.Sprint(at.Sub(t0).Seconds(), " ", n, " ", of(host(1))))
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Play(&played{[]trace.Record{packet(1, 20, 0, 1), packet(2, 20, 6000, 1), packet(2, 20, 20000, 1)}}); err != nil {
		t.Fatal(err)
	}
	// The sample at a packet's time comes before the packet.
	if d := cmp.Diff([]string{"0 0 0", "5 1 1", "10 1 0", "15 1 0", "20 0 0"}, got); d != "" {
		t.Errorf("seconds, contexts, of host 1 (-want +got):\n%s", d)
	}
}

func TestBadPolicies(t *testing.T) {
	for _, p := range []Policy{{}, {Idle: -1}, {Idle: 2 * Remember}, {Idle: 1, Bytes: 1}, {Idle: 1, After: -1}} {
		if _, err := New([]Policy{p}, server, 0, nil); err == nil {
			t.Errorf("policy %+v was taken", p)
		}
	}
	if _, err := New(nil, server, 0, nil); err == nil {
		t.Error("no policy was taken")
	}
}

func TestPacketsOutOfOrder(t *testing.T) {
	s, err := New(all, server, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Play(&played{[]trace.Record{packet(1, 20, 5, 1), packet(1, 20, 4, 1)}}); err == nil || !strings.Contains(err.Error(), "comes after") {
		t.Errorf("error %v", err)
	}
}

// Records are played packet by packet, in order, and lose nothing.
func TestOrder(t *testing.T) {
	long := trace.Record{Src: host(1), Dst: host(20), Start: t0, End: t0.Add(100 * time.Second), Packets: 11, Bytes: 1100}
	fast := trace.Record{Src: host(1), Dst: host(21), Start: t0.Add(50 * time.Second), End: t0.Add(52 * time.Second), Packets: 2001, Bytes: 2001000}
	one := packet(1, 22, 51000, 60)
	late := packet(1, 23, 1000, 7)
	o := NewOrder(&played{[]trace.Record{fast, one, long, late}}, 2*time.Minute)
	sum := make(map[netip.Addr][3]uint64) // records, packets, bytes
	var last time.Time
	ends := make(map[netip.Addr]time.Time)
	for {
		r, err := o.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Start.Before(last) || !r.End.Equal(r.Start) {
			t.Fatalf("%v after %v, until %v", r.Start, last, r.End)
		}
		last = r.Start
		s := sum[r.Dst]
		sum[r.Dst] = [3]uint64{s[0] + 1, s[1] + r.Packets, s[2] + r.Bytes}
		ends[r.Dst] = r.Start
	}
	want := map[netip.Addr][3]uint64{host(20): {11, 11, 1100}, host(21): {5, 2001, 2001000}, host(22): {1, 1, 60}, host(23): {1, 1, 7}}
	if d := cmp.Diff(want, sum, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("records, packets, bytes (-want +got):\n%s", d)
	}
	if !ends[host(20)].Equal(long.End) || !ends[host(21)].Equal(fast.End) {
		t.Errorf("last packets at %v", ends)
	}
	if o.Late != 0 {
		t.Errorf("%d late records, all were in the window", o.Late)
	}
	o = NewOrder(&played{[]trace.Record{packet(1, 2, 0, 1), packet(1, 2, 5000, 1), packet(1, 2, 100000, 1), packet(1, 2, 2000, 1)}}, 10*time.Second)
	for range 4 {
		if _, err := o.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if o.Late != 1 {
		t.Errorf("%d late records, want 1", o.Late)
	}
}
