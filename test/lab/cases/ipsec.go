// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"shim6/test/lab/genl"
	"shim6/test/lab/hostile"
	"shim6/test/lab/kernel"
	"shim6/test/lab/module"
	"shim6/test/lab/node"
	"shim6/test/lab/packet"
	"shim6/test/lab/report"
	"shim6/test/lab/talk"
)

var ipsec = Case{
	Slow:     debugKernels("its streams have their time"),
	Name:     "ipsec",
	About:    "what IPsec policy protects between ULIDs never leaves in clear, whatever becomes of the context and its path",
	FastTime: true,
	Limit:    5 * time.Minute,
	Modules: []kernel.Need{
		{Module: "esp6"}, {Module: "esp6_offload"}, {Module: "authenc"}, {Module: "echainiv"}, {Module: "cbc"}, {Module: "hmac"},
		// Initialization vectors want random numbers, which 6.1 has no generator for without a module.
		{Module: "ansi_cprng", Option: "CONFIG_CRYPTO_ANSI_CPRNG"},
	},
	Run: runIPsec,
}

// offloadModule makes ESP encrypt in the device's queue.
const offloadModule = "esp6_offload"

func runIPsec(e *Env) error {
	alone, err := e.beetAlone()
	if err != nil {
		return err
	}
	// It is to come later.
	if err := unloadSoon(offloadModule); err != nil {
		return err
	}
	p, err := e.protect()
	if err != nil {
		return err
	}
	defer p.remove()
	steps := []func() error{
		func() error { return p.protectULIDs("without esp6_offload") },
		func() error { return p.protectTunnel("tunnel", "without esp6_offload", 4200, true) },
		func() error { return p.protectTunnel("beet", "without esp6_offload", 4400, true) },
		p.protectLocators,
		func() error {
			if err := module.Load(report.ModuleDir + "/" + offloadModule + ".ko"); err != nil {
				return err
			}
			return p.offload(1)
		},
		func() error { return p.protectULIDs("with esp6_offload") },
		// send.c: with it, packets of a tunnel, as which BEET counts, keep to the ULIDs. The kernel would die of others.
		func() error { return p.protectTunnel("tunnel", "with esp6_offload", 4700, false) },
		func() error { return p.beetLikeAlone(alone) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// esp has both hosts protect, by ESP in a mode between two addresses, what goes between two prefixes.
func (p *protected) esp(mode string, outer pair, inner [2]string) error {
	for _, n := range []*node.Node{p.A, p.B} {
		for i, way := range [][2]netip.Addr{{outer.local, outer.peer}, {outer.peer, outer.local}} {
			keys := strings.Fields(fmt.Sprintf("auth-trunc hmac(sha256) 0x%064d 128 enc cbc(aes) 0x%032d", i+1, i+1))
			state := strings.Fields(fmt.Sprintf("xfrm state add src %v dst %v proto esp spi %d reqid 7 mode %s", way[0], way[1], 0x1000+i, mode))
			if mode == "beet" {
				keys = append(keys, "sel", "src", inner[i], "dst", inner[1-i])
			}
			if _, err := n.Output("ip", append(state, keys...)...); err != nil {
				return err
			}
			dir := "out"
			if (i == 0) != (n == p.A) {
				dir = "in"
			}
			policy := fmt.Sprintf("xfrm policy add src %s dst %s dir %s tmpl src %v dst %v proto esp reqid 7 mode %s",
				inner[i], inner[1-i], dir, way[0], way[1], mode)
			if _, err := n.Output("ip", strings.Fields(policy)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// noESP takes states and policies away. The states of contexts go, too, and come back with them.
func (p *protected) noESP() error {
	for _, n := range []*node.Node{p.A, p.B} {
		for _, what := range []string{"policy flush", "state deleteall proto esp"} {
			if _, err := n.Output("ip", append([]string{"xfrm"}, strings.Fields(what)...)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// clear names the packets between the hosts, of those that passed since the last look, that are not protected, or whose header
// chain is not the one given.
func (p *protected) clear(chains ...string) (seen int, trouble string, err error) {
	list1, err1 := p.link1.Take()
	list2, err2 := p.link2.Take()
	var wrong []string
	for _, k := range append(list1, list2...) {
		if _, _, _, between := p.ulids(k.Src, k.Dst); !between {
			continue
		}
		seen++
		chain, right := fmt.Sprint(k.Chain), false
		for _, c := range chains {
			right = right || c == chain
		}
		if !right {
			wrong = append(wrong, k.String())
		}
	}
	if len(wrong) > 3 {
		wrong = append(wrong[:3], fmt.Sprintf("and %d more", len(wrong)-3))
	}
	return seen, strings.Join(wrong, "; "), errors.Join(err1, err2)
}

// espFlows begins flows of a few kinds.
func (p *protected) espFlows(a, b netip.Addr, port uint16) ([]flowOf, error) {
	var flows []flowOf
	for i, name := range []string{"tcp", "udp, connected", "udp, unconnected", "ICMPv6 echo"} {
		k, err := kindOf(name)
		if err != nil {
			return nil, err
		}
		t, err := k.Open(talk.Ends{A: p.A, B: p.B, AddrA: a, AddrB: b, Port: port + uint16(10*i)})
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
		flows = append(flows, flowOf{*k, t})
	}
	return flows, nil
}

// say has each flow send what fits a packet and what does not.
func say(flows []flowOf, big int) error {
	var err error
	for i, f := range flows {
		for _, size := range []int{100, 1200, big} {
			if sayErr := f.Say(size, byte(i)); sayErr != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", f.Name, sayErr))
			}
		}
	}
	return err
}

// hangUp ends flows, while what protects them is still there.
func hangUp(flows []flowOf) {
	for _, f := range flows {
		f.Close()
	}
	time.Sleep(settle)
}

// protectULIDs has ESP in transport mode between the ULIDs.
func (p *protected) protectULIDs(how string) error {
	prefixes := [2]string{p.A1.String() + "/128", p.B1.String() + "/128"}
	if err := errors.Join(p.use(p.plain()), p.esp("transport", p.plain(), prefixes), p.forget()); err != nil {
		return err
	}
	defer p.noESP()
	port := uint16(4000)
	if strings.HasPrefix(how, "with ") {
		port = 4500
	}
	flows, err := p.espFlows(p.A1, p.B1, port)
	if err != nil {
		return err
	}
	const bare, bareFragment, behind, behindFragment = "[50]", "[44 50]", "[140 50]", "[140 44 50]"
	for _, x := range []struct {
		name   string
		path   pair
		chains []string
	}{{"between ULIDs", p.plain(), []string{bare, bareFragment}}, {"rewritten", p.other(), []string{behind, behindFragment}}} {
		if err := p.use(x.path); err != nil {
			return err
		}
		err := say(flows, 5000)
		time.Sleep(settle)
		seen, trouble, takeErr := p.clear(x.chains...)
		p.e.Check(fmt.Sprintf("ESP %s, %s: all flows talk", how, x.name), err == nil, "%s", errText(err))
		p.e.Check("and all that leaves is ESP", takeErr == nil && trouble == "" && seen > 20, "%d packets %s%s", seen, trouble, errText(takeErr))
	}
	p.changePathsUnder(how, flows)
	if err := p.loseContexts(how, flows); err != nil {
		return err
	}
	hangUp(flows)
	return p.refuseClear(how)
}

// changePathsUnder changes the path in mid-flow.
func (p *protected) changePathsUnder(how string, flows []flowOf) {
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-quit:
				done <- nil
				return
			case <-time.After(7 * time.Millisecond):
			}
			if err := p.use(phases[i%len(phases)].path(p)); err != nil {
				done <- err
				return
			}
		}
	}()
	err := say(flows, 20000)
	close(quit)
	err = errors.Join(err, <-done)
	time.Sleep(settle)
	seen, trouble, takeErr := p.clear("[50]", "[44 50]", "[140 50]", "[140 44 50]")
	p.e.Check(fmt.Sprintf("ESP %s: paths change in mid-flow, nothing is in clear", how), err == nil && takeErr == nil && trouble == "" && seen > 20,
		"%d packets %s%s", seen, trouble, errText(err))
}

// loseContexts deletes the contexts and makes them anew while flows talk. Host a's goes first: b's still takes what a rewrote.
func (p *protected) loseContexts(how string, flows []flowOf) error {
	if err := p.use(p.other()); err != nil {
		return err
	}
	a := newContext(p.plain(), tagA, tagB, p.other(), p.A1, p.A2)
	b := newContext(pair{p.B1, p.A1}, tagB, tagA, pair{p.b2, p.A2}, p.B1, p.b2)
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-quit:
				done <- nil
				return
			case <-time.After(15 * time.Millisecond):
			}
			err := errors.Join(
				p.a.Do(genl.CtxDel, genl.U64(genl.TagLocal, tagA)), p.b.Do(genl.CtxDel, genl.U64(genl.TagLocal, tagB)),
				p.b.Do(genl.CtxNew, genl.Attrs(b.list()...)), p.a.Do(genl.CtxNew, genl.Attrs(a.list()...)),
			)
			if err != nil {
				done <- err
				return
			}
		}
	}()
	// Packets under way to a context that is gone are lost: TCP alone must get through.
	err := errors.Join(flows[0].Say(100000, 1), flows[0].Say(100000, 2))
	close(quit)
	err = errors.Join(err, <-done)
	time.Sleep(settle)
	seen, trouble, takeErr := p.clear("[50]", "[44 50]", "[140 50]", "[140 44 50]")
	p.e.Check(fmt.Sprintf("ESP %s: contexts go and come in mid-flow, nothing is in clear", how), err == nil && takeErr == nil && trouble == "" && seen > 20,
		"%d packets %s%s", seen, trouble, errText(err))
	return nil
}

// refuseClear tries what a policy must stop: rewritten packets that come in clear, and sending without a state.
func (p *protected) refuseClear(how string) error {
	server, err := listenAt(p.A, p.A1, 9000)
	if err != nil {
		return err
	}
	defer server.close()
	far, err := hostile.NewSender(p.R3)
	if err != nil {
		return err
	}
	defer far.Close()
	datagram := packet.Datagram(netip.AddrPortFrom(p.B1, 9001), server.addr, []byte("in clear"))
	for _, headers := range [][]packet.Header{
		{packet.Payload(tagA)}, {packet.Options(packet.DestOptions, 1), packet.Payload(tagA)}, {packet.FragmentOf(5, 0, false), packet.Payload(tagA)},
	} {
		before, err := stat(p.a, statRxRewritten)
		if err != nil {
			return err
		}
		if err := far.SendPacket(packet.Make(p.b2, p.A2, packet.UDP, datagram, headers...)); err != nil {
			return err
		}
		got := server.take()
		after, err := stat(p.a, statRxRewritten)
		p.e.Check(fmt.Sprintf("ESP %s: what comes rewritten but in clear is refused", how), err == nil && after == before+1 && len(got) == 0,
			"%d rewritten, %q", after-before, got)
	}
	if err := p.forget(); err != nil {
		return err
	}
	// Without a state the policy holds: the kernel asks for one, in vain.
	if _, err := p.A.Output("ip", "xfrm", "state", "deleteall", "proto", "esp"); err != nil {
		return err
	}
	_ = server.send([]byte("nobody protects this"), netip.AddrPortFrom(p.B1, 9001))
	time.Sleep(settle)
	seen, trouble, err := p.clear("[50]", "[140 50]")
	p.e.Check(fmt.Sprintf("ESP %s: nothing leaves when there is no state", how), err == nil && trouble == "", "%d packets %s", seen, trouble)
	return nil
}

// protectLocators has ESP in transport mode between the other locators: what is rewritten to them is protected as it is.
func (p *protected) protectLocators() error {
	prefixes := [2]string{p.A2.String() + "/128", p.b2.String() + "/128"}
	if err := errors.Join(p.esp("transport", p.other(), prefixes), p.use(p.other()), p.forget()); err != nil {
		return err
	}
	defer p.noESP()
	flows, err := p.espFlows(p.A1, p.B1, 4300)
	if err != nil {
		return err
	}
	err = say(flows, 5000)
	hangUp(flows)
	seen, trouble, takeErr := p.clear("[50]", "[44 50]")
	p.e.Check("ESP between locators: all flows talk", err == nil, "%s", errText(err))
	p.e.Check("and rewritten packets leave in it", takeErr == nil && trouble == "" && seen > 20, "%d packets %s%s", seen, trouble, errText(takeErr))
	return nil
}
