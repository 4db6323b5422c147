// SPDX-License-Identifier: MIT

package reap_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"shim6/daemon/reap"
	"shim6/daemon/wire"
)

// FuzzMachine turns octets into what can happen to a Machine, and checks after each what must hold.
func FuzzMachine(f *testing.F) {
	for seed := range byte(8) {
		rng := rand.New(rand.NewChaCha8([32]byte{seed}))
		b := make([]byte, 600)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		z := newFuzzer(t, b)
		for range 400 {
			if len(z.b) == 0 {
				return
			}
			z.step()
		}
	})
}

// mostProbes bounds the probes in a second: ten replies at once and ten more, those of the timer, those asked for in between, and
// those of watched pairs.
const mostProbes = 37

type fuzzer struct {
	t     *testing.T
	b     []byte
	m     *reap.Machine
	now   time.Time
	local []netip.Addr
	peer  []netip.Addr
	epoch uint32
	sent  []wire.ProbeReport
	sends []time.Time // of probes
	state reap.State
	path  reap.Pair
}

func newFuzzer(t *testing.T, b []byte) *fuzzer {
	z := &fuzzer{t: t, b: b, now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	for i := range byte(4) {
		z.local = append(z.local, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0xa, 0, i, 15: 1}))
		z.peer = append(z.peer, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0xb, 0, i, 15: 1}))
	}
	z.path = reap.Pair{Local: z.local[0], Peer: z.peer[0]}
	z.m = reap.New(rand.New(rand.NewChaCha8([32]byte{1})), z.path)
	z.do(z.m.Reset(z.path, "begin"))
	z.do(z.m.SetCandidates(z.now, z.candidates(z.local, 15), z.candidates(z.peer, 15)))
	return z
}

func (z *fuzzer) below(n int) int {
	if len(z.b) == 0 {
		return 0
	}
	c := int(z.b[0])
	z.b = z.b[1:]
	return c % n
}

func (z *fuzzer) pair() reap.Pair {
	return reap.Pair{Local: z.local[z.below(4)], Peer: z.peer[z.below(4)]}
}

func (z *fuzzer) candidates(from []netip.Addr, mask int) (cs []reap.Candidate) {
	for i, a := range from {
		if mask&(1<<i) != 0 {
			cs = append(cs, reap.Candidate{Addr: a, Avoid: z.below(8) == 1, Priority: uint8(z.below(3)), Weight: uint8(z.below(3))})
		}
	}
	return cs
}

func (z *fuzzer) step() {
	m, epoch := z.m, z.epoch
	if z.below(8) == 0 {
		epoch--
	}
	switch z.below(15) {
	case 0:
		z.do(m.ControlReceived(z.now))
	case 1:
		z.do(m.ControlSent())
	case 2:
		z.do(m.PayloadSeen(z.now, epoch))
	case 3:
		z.do(m.SendTimeoutExpired(z.now, epoch))
	case 4:
		z.do(m.KeepaliveDue(epoch))
	case 5:
		z.do(m.Keepalive(z.now))
	case 6:
		z.do(m.Explore(z.now, "asked for", z.below(2) == 0))
	case 7:
		z.do(m.SetCandidates(z.now, z.candidates(z.local, z.below(16)), z.candidates(z.peer, z.below(16))))
	case 8:
		z.do(m.Suspect(z.now, "hint", z.below(2) == 0))
	case 9:
		z.do(m.SetWatch(z.now, reap.WatchPlan{
			Home: new(z.pair()), FailBack: time.Duration(z.below(4)) * time.Second, Timeout: 3 * time.Second, Multipath: z.below(2) == 0,
		}))
	case 10:
		z.do(m.Rest(z.now, z.below(2) == 0))
	case 11:
		z.now = z.now.Add(time.Duration(z.below(256)) * 13 * time.Millisecond)
	case 12:
		if d := m.Deadline(); d.After(z.now) {
			z.now = d
		}
	default:
		z.probe()
	}
	for range 4 { // an alarm that is due; what it does may be due again
		if d := m.Deadline(); d.IsZero() || d.After(z.now) {
			return
		}
		z.do(m.Expire(z.now))
	}
	z.t.Fatalf("the deadline %v stays at %v", m.Deadline(), z.now)
}

// probe gives the machine a probe, mostly with reports of probes that it sent.
func (z *fuzzer) probe() {
	pair := z.pair()
	p := &wire.Probe{State: uint8(z.below(3)), Sent: []wire.ProbeReport{{Src: pair.Peer, Dst: pair.Local, Nonce: uint32(z.below(256))}}}
	for range z.below(4) {
		if n := len(z.sent); n > 0 {
			p.Received = append(p.Received, z.sent[n-1-z.below(min(n, 20))])
		}
	}
	if z.below(16) == 0 {
		p.Sent[0].Src = z.peer[z.below(4)]
	}
	z.do(z.m.Probe(z.now, pair, p))
}

// do checks what the machine wants done.
func (z *fuzzer) do(acts []reap.Action) {
	t := z.t
	for _, a := range acts {
		switch a := a.(type) {
		case reap.SendProbe:
			r := a.Probe.Sent[0]
			if r.Src != a.Pair.Local || r.Dst != a.Pair.Peer || len(a.Probe.Sent) > 15 || len(a.Probe.Received) > 15 {
				t.Fatalf("probe on %v reports %+v", a.Pair, a.Probe)
			}
			if paths := z.m.Paths(); paths[0] != z.m.Current() || len(paths) > 8 {
				t.Fatalf("current pair %v, paths %v", z.m.Current(), paths)
			}
			if !slices.Contains(z.local, a.Pair.Local) || !slices.Contains(z.peer, a.Pair.Peer) {
				t.Fatalf("probe on %v", a.Pair)
			}
			z.sent = append(z.sent, r)
			z.sends = append(z.sends, z.now)
			if n := len(z.sends); n > mostProbes && z.now.Sub(z.sends[n-1-mostProbes]) < time.Second {
				t.Fatalf("%d probes in %v", mostProbes+1, z.now.Sub(z.sends[n-1-mostProbes]))
			}
		case reap.SetTimers:
			if a.Epoch == z.epoch && z.epoch != 0 {
				t.Fatalf("epoch %d again", a.Epoch)
			}
			z.epoch = a.Epoch
			if a.State == reap.Exploring && (a.Send > reap.TimerStop || a.Keepalive > reap.TimerStop) ||
				a.Send > reap.TimerStop && a.Keepalive > reap.TimerStop {
				t.Fatalf("%+v", a)
			}
		case reap.StateChanged:
			if a.From != z.state || a.To == a.From {
				t.Fatalf("in %v: %+v", z.state, a)
			}
			z.state = a.To
		case reap.PathChanged:
			if a.From != z.path || a.To == a.From {
				t.Fatalf("on %v: %+v", z.path, a)
			}
			z.path = a.To
		}
	}
	if z.m.State() != z.state || z.m.Current() != z.path {
		t.Fatalf("in %v on %v, and nothing told of it: %v, %v", z.m.State(), z.m.Current(), z.state, z.path)
	}
}
