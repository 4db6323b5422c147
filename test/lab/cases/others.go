// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"shim6/test/lab/kernel"
	"shim6/test/lab/node"
	"shim6/test/lab/report"
	"shim6/test/lab/traffic"
)

// peerModules are what the kernel's own ways to survive a failure need.
var peerModules = []kernel.Need{{Module: "sctp", Option: "CONFIG_IP_SCTP"}}

// second is host b's second address, which SCTP needs: it tells paths apart by destination. It is reached by provider 2.
var second = struct {
	prefix       netip.Prefix
	host, router netip.Addr
}{netip.MustParsePrefix("2001:db8:b2::/64"), netip.MustParseAddr("2001:db8:b2::b"), netip.MustParseAddr("2001:db8:b2::1")}

// others has failures under streams of MPTCP or SCTP. Each begins anew, and the provider that
// carries it fails.
func (l *recoveryLab) others(part report.RecoveryPart) error {
	if part.Flow != "mptcp" && part.Flow != "sctp" {
		return fmt.Errorf("there is no flow %q", part.Flow)
	}
	undo, err := l.prepare(part)
	if err != nil {
		return errors.Join(err, undo())
	}
	for run := range part.Runs {
		if err := l.other(part, run); err != nil {
			return errors.Join(err, undo())
		}
	}
	return undo()
}

func (l *recoveryLab) other(part report.RecoveryPart, run int) error {
	transport := traffic.MPTCP
	if part.Flow == "sctp" {
		transport = traffic.SCTP(part.Tuned, []netip.Addr{l.net.A2}, []netip.Addr{second.host})
	}
	port := uint16(streamPort + len(l.done)%10000)
	s, err := traffic.StartBeat(transport, l.net.A, l.net.B, netip.AddrPortFrom(l.net.A1, 0), netip.AddrPortFrom(l.net.B1, port), streamInterval)
	if err != nil {
		return err
	}
	defer s.End()
	time.Sleep(2 * time.Second) // the second path is joined and measured
	provider, err := l.busier()
	if err != nil {
		return err
	}
	return l.failure(part, run, provider, s)
}

// busier finds the provider that carries more packets now.
func (l *recoveryLab) busier() (int, error) {
	var carried [2]uint64
	for range 2 {
		for i, r := range []*node.Node{l.net.R1, l.net.R2} {
			dev, err := r.LinkByName("core")
			if err != nil {
				return 0, err
			}
			// The first look is subtracted.
			carried[i] = dev.Attrs().Statistics.TxPackets - carried[i]
		}
		time.Sleep(500 * time.Millisecond)
	}
	if carried[1] > carried[0] {
		return 1, nil
	}
	return 0, nil
}

// prepare gives the hosts what the protocol needs.
func (l *recoveryLab) prepare(part report.RecoveryPart) (undo func() error, err error) {
	var undos [][]string
	undo = func() error {
		var errs []error
		for _, u := range undos {
			_, err := l.net.A.Output("ip", u...)
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	a2 := l.net.A2.String()
	if part.Flow == "mptcp" {
		// A second subflow from a2, and room for it at b.
		if _, err := l.net.A.Output("ip", "mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2"); err != nil {
			return undo, err
		}
		if _, err := l.net.B.Output("ip", "mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2"); err != nil {
			return undo, err
		}
		if _, err := l.net.A.Output("ip", "mptcp", "endpoint", "add", a2, "dev", "p2", "subflow"); err != nil {
			return undo, err
		}
		undos = append(undos, []string{"mptcp", "endpoint", "flush"})
		if part.Tuned {
			return undo, l.tuneMPTCP(&undos)
		}
		return undo, nil
	}
	for _, n := range []*node.Node{l.net.A, l.net.B} {
		if err := traffic.TuneSCTP(n, part.Tuned); err != nil {
			return undo, err
		}
	}
	return undo, l.secondAddress()
}

// tuneMPTCP lets TCP wait for 5 ms at least, not 200, and has a subflow be stale after one loss.
func (l *recoveryLab) tuneMPTCP(undos *[][]string) error {
	if err := l.net.A.Sysctl("net/mptcp/stale_loss_cnt", "1"); err != nil {
		return err
	}
	for _, r := range []struct{ table, dev, via string }{{"101", "p1", "2001:db8:a1::1"}, {"102", "p2", "2001:db8:a2::1"}} {
		route := []string{"-6", "route", "replace", "default", "via", r.via, "dev", r.dev, "table", r.table}
		if _, err := l.net.A.Output("ip", append(route, "rto_min", "5ms")...); err != nil {
			return err
		}
		*undos = append(*undos, route)
	}
	return nil
}

// secondAddress gives host b its second address, once.
func (l *recoveryLab) secondAddress() error {
	for _, c := range []struct {
		run  func(string, ...string) (string, error)
		args []string
	}{
		{l.net.B.Output, []string{"-6", "addr", "replace", second.host.String() + "/64", "dev", "p1", "nodad"}},
		{l.net.R3.Output, []string{"-6", "addr", "replace", second.router.String() + "/64", "dev", "cust", "nodad"}},
		{l.net.A.Output, []string{"-6", "route", "replace", second.prefix.String(), "via", "2001:db8:a2::1", "dev", "p2", "src", l.net.A2.String()}},
	} {
		if _, err := c.run("ip", c.args...); err != nil {
			return err
		}
	}
	return nil
}
