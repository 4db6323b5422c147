// SPDX-License-Identifier: MIT

package reap_test

import (
	"testing"
	"time"

	"shim6/daemon/reap"
)

// RFC 5534 section 3.3: hints are no proof. The pair is tested at once, and stays when it answers.
func TestHintProbesTheCurrentPairFirst(t *testing.T) {
	b := newBench(1)
	b.took(b.Suspect(b.now, "carrier lost", true))
	if b.State() != reap.Exploring || b.lastPair() != first {
		t.Fatalf("%v, probe on %s", b.State(), pairName(b.lastPair()))
	}
	b.probe(first, reap.InboundOk, b.lastReport())
	if b.State() != reap.Operational || b.Current() != first {
		t.Errorf("%v on %s", b.State(), pairName(b.Current()))
	}
	b = newBench(1)
	b.took(b.Suspect(b.now, "carrier lost", true))
	b.expire()
	if b.lastPair() != other {
		t.Errorf("unanswered, the next probe is on %s", pairName(b.lastPair()))
	}
}

// What arrives right after a hint may have been sent before the path failed. Until that time is over the peer is told again and
// again that it is not heard, so that it explores as well; then what still arrives counts.
func TestWhatWasUnderWayIsNoProof(t *testing.T) {
	for name, arrives := range map[string]func(b *bench) []string{
		"payload":   func(b *bench) []string { return b.took(b.PayloadSeen(b.now, b.epoch)) },
		"keepalive": func(b *bench) []string { return b.took(b.Keepalive(b.now)) },
		"control":   func(b *bench) []string { return b.took(b.ControlReceived(b.now)) },
	} {
		b := newBench(1)
		b.took(b.Suspect(b.now, "carrier lost", false))
		begin, told := b.now, 0
		for b.now.Sub(begin) < 2*time.Second {
			before := len(b.probes)
			if arrives(b); b.State() != reap.InboundOk || len(b.probes) != before {
				t.Fatalf("%s after %v: %v, %d probes", name, b.now.Sub(begin), b.State(), len(b.probes)-before)
			}
			b.expire()
			if p := b.probes[len(b.probes)-1]; b.State() != reap.Exploring || reap.State(p.State) != reap.Exploring {
				t.Fatalf("%s after %v: %v, probe %v", name, b.now.Sub(begin), b.State(), reap.State(p.State))
			}
			told++
		}
		if arrives(b); b.State() != reap.InboundOk || reap.State(b.probes[len(b.probes)-1].State) != reap.InboundOk || told < 3 {
			t.Errorf("%s after %v: %v", name, b.now.Sub(begin), b.State())
		}
		b.expire()
		if p := b.probes[len(b.probes)-1]; b.State() != reap.InboundOk || reap.State(p.State) != reap.InboundOk {
			t.Errorf("%s: then %v, probe %v", name, b.State(), reap.State(p.State))
		}
	}
	// The kernel's Send Timer and the peer's probes end the doubt.
	b := newBench(1)
	b.took(b.Suspect(b.now, "carrier lost", false))
	b.took(b.PayloadSeen(b.now, b.epoch))
	b.took(b.SendTimeoutExpired(b.now, b.epoch))
	if b.expire(); b.State() != reap.Exploring {
		t.Errorf("after a Send Timeout %v", b.State())
	}
	b = newBench(1)
	b.took(b.Suspect(b.now, "carrier lost", false))
	b.took(b.PayloadSeen(b.now, b.epoch))
	b.probe(other, reap.Exploring)
	if b.expire(); b.State() != reap.InboundOk {
		t.Errorf("the peer's probe arrived, and then %v", b.State())
	}
}

// A path that flaps: hints come every three seconds for ten minutes, and always the other pair is the one that answers. The
// gaps between explorations grow, and their number stays small.
func TestHintsAreDamped(t *testing.T) {
	b := newBench(1)
	var began []time.Time
	last := b.now
	for end := b.now.Add(10 * time.Minute); b.now.Before(end); {
		b.took(b.Suspect(b.now, "carrier lost", false))
		for next := b.now.Add(3 * time.Second); b.now.Before(next); {
			if b.State() == reap.Exploring {
				began = append(began, b.now)
				from := b.Current()
				for b.lastPair() == from {
					b.expire()
				}
				b.probe(b.lastPair(), reap.InboundOk, b.lastReport())
				if b.Current() == from {
					t.Fatal("the path stayed")
				}
			}
			if d := b.Deadline(); d.IsZero() || d.After(next) {
				b.now = next
			} else {
				b.expire()
			}
		}
	}
	if len(began) < 6 || len(began) > 20 {
		t.Errorf("%d explorations in ten minutes", len(began))
	}
	for i, at := range began {
		if i > 0 && i < 5 && at.Sub(last) < time.Second<<i*8/10 {
			t.Errorf("exploration %d only %v after the one before", i, at.Sub(last))
		}
		last = at
	}
	// What was held back decays: after a quiet hour a hint counts at once, and the next after two seconds.
	b = newBench(1)
	for range 4 {
		b.now = b.now.Add(time.Minute)
		b.took(b.Suspect(b.now, "carrier lost", true))
		b.probe(first, reap.InboundOk, b.lastReport())
	}
	b.now = b.now.Add(time.Hour)
	b.took(b.Suspect(b.now, "carrier lost", true))
	if b.State() != reap.Exploring {
		t.Fatal("no exploration after an hour")
	}
	b.probe(b.Current(), reap.InboundOk, b.lastReport())
	b.took(b.Suspect(b.now, "carrier lost", true))
	if wait := b.Deadline().Sub(b.now); wait != 2*time.Second {
		t.Errorf("the next waits for %v", wait)
	}
}

// RFC 5534 section 6.4: what the damping holds back does not hold back the Send Timer.
func TestSendTimeoutIsNotDamped(t *testing.T) {
	b := newBench(1)
	b.took(b.Suspect(b.now, "carrier lost", true))
	b.probe(first, reap.InboundOk, b.lastReport())
	b.took(b.Suspect(b.now, "carrier lost", true))
	if b.State() != reap.Operational {
		t.Fatal("the second hint was not held back")
	}
	b.took(b.SendTimeoutExpired(b.now, b.epoch))
	if b.State() != reap.Exploring {
		t.Error("no exploration")
	}
	// The hint that waits came before what is found out now.
	b.probe(first, reap.InboundOk, b.lastReport())
	if !b.Deadline().IsZero() {
		t.Errorf("a deadline in %v", b.Deadline().Sub(b.now))
	}
}
