// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"shim6/test/lab/kernel"
	"shim6/test/lab/packet"
	"shim6/test/lab/talk"
)

var transports = Case{
	Name:     "transports",
	About:    "every transport goes on, octet by octet under its ULIDs, while packets are rewritten to other locators and back",
	FastTime: true,
	Limit:    5 * time.Minute,
	Modules:  transportModules,
	Programs: []string{"nft", "wg"},
	Run:      runTransports,
}

// transportModules have the transports that are not part of every kernel.
var transportModules = []kernel.Need{
	{Module: "sctp", Option: "CONFIG_IP_SCTP"}, {Module: "dccp_ipv6", Option: "CONFIG_IP_DCCP"},
	{Module: "wireguard", Option: "CONFIG_WIREGUARD"},
}

// A phase is what path the packets are to take, and over which provider of host a that leads.
type phase struct {
	name  string
	path  func(*protected) pair
	other bool
}

var phases = []phase{
	{"between ULIDs", (*protected).plain, false},
	{"between other locators", (*protected).other, true},
	{"with another locator of one side", func(p *protected) pair { return pair{p.A2, p.B1} }, true},
	{"between ULIDs again", (*protected).plain, false},
}

// A flowOf is one talk of the case.
type flowOf struct {
	talk.Kind
	*talk.Talk
}

func runTransports(e *Env) error {
	p, err := e.protect()
	if err != nil {
		return err
	}
	defer p.remove()
	flows, err := p.openFlows()
	if err != nil {
		return err
	}
	for _, ph := range phases {
		if err := p.talkThrough(flows, ph); err != nil {
			return err
		}
	}
	p.changeInFlight(flows)
	p.checkEarlyDemux(flows)
	for _, f := range flows {
		f.Close()
	}
	return nil
}

// openFlows begins a flow of each kind that the kernel has.
func (p *protected) openFlows() ([]flowOf, error) {
	var flows []flowOf
	for i, k := range talk.Kinds() {
		if p.lacks(k) {
			continue
		}
		t, err := k.Open(talk.Ends{A: p.A, B: p.B, AddrA: p.A1, AddrB: p.B1, Port: uint16(4000 + 10*i)})
		if !p.e.Works("open "+k.Name, err) {
			continue
		}
		flows = append(flows, flowOf{k, t})
	}
	return flows, nil
}

// lacks tells whether the kernel lacks a protocol, and says so. What it lacks must be missing from its configuration, or from
// its own list of protocols.
func (p *protected) lacks(k talk.Kind) bool {
	name := "the kernel has no " + k.Name
	if k.Option != "" && slices.Contains(p.e.Lacks, k.Option) {
		return p.e.Check(name, true, "%s is not set", k.Option)
	}
	if k.Protocol == "" {
		return false
	}
	known, err := os.ReadFile("/proc/net/protocols")
	if err == nil && strings.Contains(string(known), k.Protocol+" ") {
		return false
	}
	// Linux 7.1 took UDP-Lite out; older kernels have it without being asked.
	old := p.e.Series == "6.1" || p.e.Series == "6.12"
	p.e.Check(name, err == nil && !old, "/proc/net/protocols has no %s %s", k.Protocol, errText(err))
	return true
}

// settle is how long acknowledgements may be put off.
const settle = 500 * time.Millisecond

// talkThrough has every flow send messages of several sizes on a path, and looks at each packet of them on the wire.
func (p *protected) talkThrough(flows []flowOf, ph phase) error {
	path := ph.path(p)
	if err := p.use(path); err != nil {
		return err
	}
	for i, f := range flows {
		time.Sleep(settle)
		if err := p.forget(); err != nil {
			return err
		}
		sizes := []int{1, 37, 512, 1201, 1296, f.Max}
		var err error
		for _, size := range sizes {
			if err = f.Say(size, byte(i)); err != nil {
				break
			}
		}
		seen, wrong, wireErr := p.onTheWire(f.Kind, ph, path)
		if wireErr != nil {
			return wireErr
		}
		p.e.Check(f.Name+" "+ph.name, err == nil && wrong == "" && seen >= 2*len(sizes),
			"%d packets of protocol %d %s%s", seen, f.Proto, errText(err), wrong)
	}
	return nil
}

// onTheWire looks at what has passed host a's links since the last look: how many packets of the flow, and what is wrong.
func (p *protected) onTheWire(k talk.Kind, ph phase, path pair) (seen int, trouble string, err error) {
	used, unused := p.link1, p.link2
	if ph.other {
		used, unused = unused, used
	}
	list, err := used.Take()
	if err != nil {
		return 0, "", err
	}
	stray, err := unused.Take()
	if err != nil {
		return 0, "", err
	}
	var wrong []string
	for _, x := range list {
		if w := p.inspect(x, path); w != "" {
			wrong = append(wrong, w)
		}
		if x.Upper() == k.Proto {
			seen++
		}
	}
	for _, x := range stray {
		wrong = append(wrong, fmt.Sprintf("by the other provider: %v", x))
	}
	if len(wrong) > 3 {
		wrong = append(wrong[:3], fmt.Sprintf("and %d more", len(wrong)-3))
	}
	return seen, strings.Join(wrong, "; "), nil
}

// changeInFlight changes the path every few packets. Nothing is lost: what is under way on one path is still good.
func (p *protected) changeInFlight(flows []flowOf) {
	quit, changes := make(chan struct{}), make(chan error, 1)
	count := 0
	go func() {
		for {
			select {
			case <-quit:
				changes <- nil
				return
			case <-time.After(17 * time.Millisecond):
			}
			if err := p.use(phases[count%len(phases)].path(p)); err != nil {
				changes <- err
				return
			}
			count++
		}
	}()
	var err error
	for i := range 3 {
		for _, f := range flows {
			if sayErr := f.Say(min(f.Max, 20000), byte(i)); sayErr != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", f.Name, sayErr))
			}
		}
	}
	close(quit)
	err = errors.Join(err, <-changes)
	p.e.Check("no message is lost when paths change in mid-flow", err == nil && count > 20, "%d changes %s", count, errText(err))
}

// checkEarlyDemux counts what finds its socket before it is routed: there, a rule can ask for the socket's owner.
func (p *protected) checkEarlyDemux(flows []flowOf) {
	e := p.e
	const rules = `table ip6 lab {
	chain input {
		type filter hook input priority 0
		meta l4proto tcp meta skuid 0 counter comment "tcp"
		meta l4proto udp meta skuid 0 counter comment "udp"
	}
}`
	if !e.Works("rules in b that count what has a socket", ruleset(p.B, rules)) {
		return
	}
	if !e.Works("rewrite again", p.use(p.other())) {
		return
	}
	for _, round := range []struct {
		on   string
		name string
	}{{"1", "rewritten packets find their sockets early"}, {"0", "and not when early demux is off"}} {
		before := p.earlyCounts()
		err := p.B.Sysctl("net/ipv4/ip_early_demux", round.on)
		for _, f := range flows {
			if err == nil && (f.Proto == packet.TCP || f.Name == "udp, connected") {
				err = f.Say(1000, 1)
			}
		}
		after := p.earlyCounts()
		tcp, udp := after[0]-before[0], after[1]-before[1]
		ok := tcp > 0 && udp > 0
		if round.on == "0" {
			ok = tcp == 0 && udp == 0
		}
		e.Check(round.name, err == nil && ok, "%d of TCP, %d of UDP %s", tcp, udp, errText(err))
	}
}

// earlyCounts returns the counters of checkEarlyDemux; -1 stands for one that cannot be read.
func (p *protected) earlyCounts() [2]int {
	var counts [2]int
	for i, name := range []string{"tcp", "udp"} {
		n, err := counted(p.B, name)
		if err != nil {
			n = -1
		}
		counts[i] = n
	}
	return counts
}
