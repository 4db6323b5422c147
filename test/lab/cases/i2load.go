// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"

	"shim6/test/lab/daemon"
	"shim6/test/lab/report"
	"shim6/test/lab/slab"
	"shim6/test/lab/topo"
)

// i2Load gives host b a new client again and again: the initiator program and its clients are the caller's.
var i2Load = Case{
	Name:     "i2-load",
	About:    "ever more clients establish contexts with one host",
	FastTime: true,
	Modern:   true,
	Daemons:  true,
	MemoryMB: 3072,
	Limit:    50 * time.Minute,
	Run:      runI2Load,
}

// clientNet has the addresses of all clients.
var clientNet = netip.MustParsePrefix("2001:db8:8000::/33")

// Limits that clients of one site would run into, and that are no matter here: each client is in a prefix of its own.
const manyContexts = "limits:\n  contexts: 1000000\n"

// quiet is a Send Timeout that does not come: the clients answer no Probes.
const quiet = time.Hour

func runI2Load(e *Env) error {
	paced, err := e.Number("paced")
	if err != nil {
		return err
	}
	count, err := e.Number("count")
	if err != nil {
		return err
	}
	interval, err := e.Param("interval")
	if err != nil {
		return err
	}
	net, err := topo.BuildPair(0)
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", net.Delete()) }()
	if err := errors.Join(net.Give(net.B, e.B1), net.Own(net.A, clientNet)); err != nil {
		return err
	}
	if err := e.loadUnderTest(); err != nil {
		return err
	}
	defer e.unloadUnderTest()
	d, err := daemon.New(net.B, e.Path(report.DaemonLog("b")), daemon.Config{Keys: "b", SendTimeout: quiet, Heuristic: "none", More: manyContexts})
	if err != nil {
		return err
	}
	if err := d.Start(); err != nil {
		return err
	}
	defer func() {
		e.Works("contexts are flushed", d.Flush())
		e.Works("shim6d stops", d.Stop())
	}()
	time.Sleep(time.Second) // its own signature is made ahead
	var memory []report.Footprint
	note := func(contexts int) error {
		m := report.Footprint{Contexts: contexts}
		if m.Daemon, err = d.Memory(); err != nil {
			return err
		}
		if m.Kernel, err = slab.Used(); err != nil {
			return err
		}
		memory = append(memory, m)
		return nil
	}
	if err := note(0); err != nil {
		return err
	}
	// By the interval of the paper first, then as fast as they are served, for which the last ends are looked at.
	for _, part := range []struct {
		first, count int
		interval     string
	}{{0, paced, interval}, {paced, count - paced, "0"}} {
		if part.count <= 0 {
			continue
		}
		out, err := net.A.Output("initiators", filepath.Join(report.DataDir, "clients"), e.B1.String(), strconv.Itoa(part.first), strconv.Itoa(part.count), part.interval,
			e.Path(fmt.Sprintf("i2-%d.csv", part.first)))
		if err != nil {
			return err
		}
		e.Say("%d clients from number %d on, one each %s: %s", part.count, part.first, part.interval, out)
		if err := note(part.first + part.count); err != nil {
			return err
		}
	}
	stats, err := d.Stats()
	if err != nil {
		return err
	}
	refused, counted := stats["daemon"]["kernel_errors"]
	e.Check("the kernel took every context", counted && refused == 0, "%d requests refused", refused)
	if err := e.SaveJSON("stats.json", stats); err != nil {
		return err
	}
	return e.SaveJSON(report.MemoryName, memory)
}
