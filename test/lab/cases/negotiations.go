// SPDX-License-Identifier: MIT

package cases

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"shim6/test/lab/kernel"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
)

// negotiations has two hosts establish contexts, by a plan that the caller gives: the negotiators program is the caller's.
var negotiations = Case{
	Name:     "negotiations",
	About:    "how long two hosts take to establish a context",
	FastTime: true,
	Modern:   true,
	Modules:  []kernel.Need{{Module: "sch_tbf", Option: "CONFIG_NET_SCH_TBF"}},
	Limit:    50 * time.Minute,
	Run:      runNegotiations,
}

func runNegotiations(e *Env) error {
	raw, err := os.ReadFile(filepath.Join(report.DataDir, report.PlanName))
	if err != nil {
		return err
	}
	var plan []report.Negotiation
	if err := json.Unmarshal(raw, &plan); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	rate, err := e.Number("mbit")
	if err != nil {
		return err
	}
	if err := e.loadUnderTest(); err != nil {
		return err
	}
	defer e.unloadUnderTest()
	for _, n := range plan {
		if err := e.negotiate(n, uint64(rate)*1e6); err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
	}
	return nil
}

// negotiate runs one part of the plan in a network of its own.
func (e *Env) negotiate(n report.Negotiation, rate uint64) (err error) {
	net, err := topo.BuildPair(rate)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, net.Delete()) }()
	if err := errors.Join(net.Give(net.A, n.A), net.Give(net.B, n.B)); err != nil {
		return err
	}
	data := func(name string) string { return filepath.Join(report.DataDir, name) }
	args := func(verb, host string, own, peer netip.Addr) []string {
		return []string{verb, data(n.Name + "-" + host), data(n.Key), own.String(), peer.String()}
	}
	b, err := net.B.Launch(e.Path("negotiators.log"), "negotiators", args("respond", "b", n.B, n.A)...)
	if err != nil {
		return err
	}
	defer b.Kill()
	time.Sleep(time.Second)
	_, err = net.A.Output("negotiators", append(args("initiate", "a", n.A, n.B), strconv.Itoa(n.Runs), e.Path(n.Name+".csv"))...)
	if err == nil && !b.Running() {
		err = b.Wait(0)
	}
	e.Say("%s: %d negotiations", n.Name, n.Runs)
	return err
}
