// SPDX-License-Identifier: MIT

package cases

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"time"

	"shim6/test/lab/daemon"
	"shim6/test/lab/fault"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

var hints = Case{
	Slow:     debugKernels("recovery has its time"),
	Name:     "hints",
	About:    "a link without carrier is left before the Send Timeout, a flapping one seldom returned to, a stable one when so configured",
	FastTime: true,
	Without:  realTime("a flapping link is watched for ten minutes"),
	Daemons:  true,
	Limit:    15 * time.Minute,
	Run:      runHints,
}

const (
	hintsSendTimeout = 15 * time.Second
	hintsFailBack    = 5 * time.Second
	// carrierLimit is what the kernel may take to tell of a lost carrier, a second, and the exploration after it.
	carrierLimit = 3 * time.Second
	// standstill is what TCP may stand still then: less than the three seconds that the kernel looks for a neighbour on a dead link.
	standstill = 2 * time.Second
	// returnLimit is what a return takes: a minute to settle after many failures, then two Probes further apart than the Send
	// Timeout.
	returnLimit = 3 * time.Minute

	flaps     = 10
	flapPhase = 1500 * time.Millisecond
)

var hintsPace = traffic.Pace{RateMbit: 1, Block: 4096}

func runHints(e *Env) error {
	e.TSend = hintsSendTimeout
	net, err := topo.Build(e.addresses(), e.RTT)
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", net.Delete()) }()
	if err := net.R1.Sysctl("net/ipv6/conf/all/keep_addr_on_down", "1"); err != nil {
		return err
	}
	p, err := e.startPeers(net, "default")
	if err != nil {
		return err
	}
	defer p.remove()
	if err := e.hinted(p, "without", 2*time.Minute, p.withoutReturn); err != nil {
		return err
	}
	if err := errors.Join(p.a.Stop(), p.b.Stop(), p.a.SetFailBack(hintsFailBack), p.b.SetFailBack(hintsFailBack), p.a.Start(), p.b.Start()); err != nil {
		return err
	}
	if err := e.hinted(p, "with", 6*time.Minute, p.withReturn); err != nil {
		return err
	}
	cut, err := fault.Install(net.R1)
	if err != nil {
		return err
	}
	if err := errors.Join(p.a.Stop(), p.a.Configure("hints:\n  rto: true\n"), p.a.Start()); err != nil {
		return err
	}
	return e.hinted(p, "after TCP's timeout and with", time.Minute, func() error { return p.tcpTimeout(cut) })
}

// hinted does something while a transfer runs, which must then end well.
func (e *Env) hinted(p *peers, name string, lasts time.Duration, do func() error) error {
	source := "/tmp/" + report.SentName
	if err := traffic.Fill(source, hintsPace.Octets(lasts), 1); err != nil {
		return err
	}
	defer os.Remove(source)
	t, err := e.startTransfer(p.net, "hints-"+name, source, hintsPace, nil)
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return errors.Join(err, t.abandon())
	}
	if err := t.finish(lasts + time.Minute); err != nil {
		return err
	}
	e.Check("transfer "+name+" fail-back arrives whole", t.Finished && t.Same, "%d of %d octets %s", t.Received, t.Sent, t.Trouble)
	return t.discard()
}

// withoutReturn has the link of provider 1 lose its carrier, flap and stay, which payload never returns to.
func (p *peers) withoutReturn() error {
	e := p.e
	if err := p.loseCarrier("without fail-back"); err != nil {
		return err
	}
	before := p.pathChanges()
	if err := p.flap(); err != nil {
		return err
	}
	e.Check("the flapping of a link that is not used moves nothing", p.pathChanges() == before, "%d path changes", p.pathChanges()-before)
	time.Sleep(time.Minute)
	c, err := p.established()
	if err != nil {
		return err
	}
	e.Check("payload does not return when no fail-back is configured", c.Current.Local == p.net.A2 && p.pathChanges() == before,
		"on %s, %d path changes", p.net.Short(c.Current.String()), p.pathChanges()-before)
	return nil
}

// withReturn has payload return to provider 1, whose link then flaps and stays.
func (p *peers) withReturn() error {
	e := p.e
	if _, err := p.established(); err != nil {
		return err
	}
	back, err := p.movesTo(p.a1(), returnLimit)
	if err != nil {
		return err
	}
	e.Check("payload returns when the link was good for the stable time", back >= hintsFailBack && back < returnLimit, "after %v", back)
	if err := p.loseCarrier("with fail-back"); err != nil {
		return err
	}
	before := p.pathChanges()
	if err := p.flap(); err != nil {
		return err
	}
	swings := p.pathChanges() - before
	e.Check("ten flaps in 30 s swing payload at most twice", swings <= 2, "%d path changes", swings)
	if back, err = p.movesTo(p.a1(), returnLimit); err != nil {
		return err
	}
	e.Check("payload returns after the flapping, when the link was good for the stable time", back >= hintsFailBack && back < returnLimit,
		"after %v, %d path changes in all", back, p.pathChanges()-before)
	return nil
}

// tcpTimeout has provider 1 die silently: TCP is the first to notice.
func (p *peers) tcpTimeout(cut *fault.Switch) error {
	e := p.e
	c, err := p.established()
	if err != nil {
		return err
	}
	e.Check("payload is on provider 1 before it dies", c.Current == p.a1(), "%s", p.net.Short(c.Current.String()))
	time.Sleep(time.Second)
	if err := cut.Cut(); err != nil {
		return err
	}
	took, err := p.movesTo(p.a2(), hintsSendTimeout*2)
	if err != nil {
		return err
	}
	e.Check("TCP's retransmission timeout has payload leave a dead provider well before the Send Timeout", took < carrierLimit,
		"after %v of %v", took, hintsSendTimeout)
	return cut.Heal()
}

func (p *peers) a1() daemon.Pair { return daemon.Pair{Local: p.net.A1, Peer: p.net.B1} }
func (p *peers) a2() daemon.Pair { return daemon.Pair{Local: p.net.A2, Peer: p.net.B1} }

// loseCarrier takes the carrier of the link in use, and checks that payload leaves it before the Send Timeout.
func (p *peers) loseCarrier(when string) error {
	e := p.e
	c, err := p.established()
	if err != nil {
		return err
	}
	e.Check("payload is on provider 1 "+when, c.Current == p.a1(), "%s", p.net.Short(c.Current.String()))
	// Frequent enough that some of it is sent between the loss of the carrier and the new path.
	beat, err := traffic.StartBeat(traffic.TCP, p.net.A, p.net.B, netip.AddrPortFrom(p.net.A1, 0), netip.AddrPortFrom(p.net.B1, streamPort), streamInterval)
	if err != nil {
		return err
	}
	defer beat.End()
	time.Sleep(time.Second)
	beat.Mark()
	if err := p.setCarrier(false); err != nil {
		return err
	}
	took, err := p.movesTo(p.a2(), hintsSendTimeout*2)
	if err != nil {
		return err
	}
	var gap traffic.Silence
	err = within(hintsSendTimeout, func() error {
		var since int
		var err error
		if gap, since, err = beat.Longest(); err == nil && since < flowing {
			err = errors.New("the stream stands still")
		}
		return err
	})
	if err != nil {
		return err
	}
	// "If no Neighbor Advertisement is received after MAX_MULTICAST_SOLICIT solicitations, address resolution has failed" (RFC 4861
	// section 7.2.2), after three seconds. To TCP, what waits for that has not left the host, and it sends it on no other path.
	e.Check("TCP goes on with the new path "+when+", whatever waits on the old link", gap.Length() < standstill, "after %v", gap.Length())
	e.Check("payload leaves a link without carrier well before the Send Timeout "+when, took < carrierLimit, "after %v of %v", took, hintsSendTimeout)
	return nil
}

// flap gives and takes the carrier of provider 1's link ten times in 30 seconds. In the end the link has it.
func (p *peers) flap() error {
	for range flaps {
		if err := p.setCarrier(false); err != nil {
			return err
		}
		time.Sleep(flapPhase)
		if err := p.setCarrier(true); err != nil {
			return err
		}
		time.Sleep(flapPhase)
	}
	return nil
}

// setCarrier takes the carrier from host a's link to provider 1, or gives it back: the provider's end goes down or up.
func (p *peers) setCarrier(on bool) error {
	l, err := p.net.R1.LinkByName("cust")
	if err != nil {
		return err
	}
	if on {
		return p.net.R1.LinkSetUp(l)
	}
	return p.net.R1.LinkSetDown(l)
}

// movesTo waits until payload of host a goes on a pair, and tells how long that took.
func (p *peers) movesTo(pair daemon.Pair, limit time.Duration) (time.Duration, error) {
	start := time.Now()
	for {
		c, err := p.a.Established(p.net.A1, p.net.B1, limit)
		if err != nil {
			return 0, err
		}
		if took := time.Since(start); c.Current == pair || took >= limit {
			return took, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// pathChanges counts what host a's daemon logged.
func (p *peers) pathChanges() int {
	log, err := os.ReadFile(p.e.Path(report.DaemonLog("a")))
	if err != nil {
		return 0
	}
	return bytes.Count(log, []byte(`"msg":"path changed"`))
}
