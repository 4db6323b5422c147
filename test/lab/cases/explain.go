// SPDX-License-Identifier: MIT

package cases

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/nftables"

	"shim6/test/lab/daemon"
	"shim6/test/lab/node"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

var explain = Case{
	Name:     "explain",
	About:    "shim6ctl says why a flow is not protected, step by step until it is; reload, doctor, debug-bundle and metrics tell the truth",
	FastTime: true,
	Daemons:  true,
	Limit:    10 * time.Minute,
	Run:      runExplain,
}

// metricsAt is where the daemon of host a serves metrics.
const metricsAt = "[::1]:9556"

// silentLimit is longer than an exchange goes on without an answer.
const silentLimit = 5 * time.Minute

func runExplain(e *Env) error {
	n, err := topo.Build(e.addresses(), e.RTT)
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", n.Delete()) }()
	p, err := e.startPeers(n, "none")
	if err != nil {
		return err
	}
	defer p.remove()
	if err := errors.Join(p.a.Stop(), p.a.Write("metrics: \""+metricsAt+"\"\n"), p.a.Start()); err != nil {
		return err
	}
	if _, err := p.a.Ctl("tune", "default.bytes=1000000"); err != nil {
		return err
	}
	e.explains(p.a, n.B1.String(), "before there is a flow", "flow-not-followed", false, "source-selected", "provider-route", "locators")
	c, err := traffic.Converse(n.A, n.B, n.A1, n.B1, 7000, 200*time.Millisecond)
	if err != nil {
		return err
	}
	defer c.End()
	time.Sleep(2 * time.Second)
	e.explains(p.a, fmt.Sprintf("[%v]:7000", n.B1), "of a connection that is too small", "flow-below-threshold", false, "source-of-socket")
	if _, err := p.a.Ctl("tune", "default.bytes=1"); err != nil {
		return err
	}
	made, err := p.established()
	if err != nil {
		return err
	}
	e.explains(p.a, fmt.Sprintf("[%v]:7000", n.B1), "of a protected connection", "reap-operational", true, "context-established", "peer-locators")
	if err := e.reloads(p, made); err != nil {
		return err
	}
	if err := e.measured(n.A, `shim6_contexts{state="ESTABLISHED"} 1`); err != nil {
		return err
	}
	if err := e.examined(p.a, n.A); err != nil {
		return err
	}
	if err := e.bundled(p.a); err != nil {
		return err
	}
	// A peer whose daemon is not there does not answer.
	if err := errors.Join(p.b.Stop(), p.a.Flush()); err != nil {
		return err
	}
	// The exchange is given up after some repetitions, and that is remembered for a minute.
	for start := time.Now(); time.Since(start) < silentLimit; time.Sleep(5 * time.Second) {
		if x, err := p.a.Explain(n.B1.String()); err != nil || x.Code == "peer-silent" {
			break
		}
	}
	e.explains(p.a, n.B1.String(), "of a peer without a daemon", "peer-silent", false)
	if err := e.measured(n.A, `shim6_flows_unprotected{code="peer-silent"} 1`); err != nil {
		return err
	}
	return p.b.Start()
}

// explains checks the verdict about a peer, and that certain steps led to it.
func (e *Env) explains(d *daemon.Daemon, peer, when, code string, protected bool, steps ...string) {
	x, err := d.Explain(peer)
	if !e.Works("explain answers "+when, err) {
		return
	}
	ok := x.Code == code && x.Protected == protected
	for _, s := range steps {
		ok = ok && x.Has(s)
	}
	e.Check(fmt.Sprintf("it says %s %s", code, when), ok, "%v", x)
}

// reloads changes the configuration while the context lives.
func (e *Env) reloads(p *peers, c *daemon.Context) error {
	const more = "metrics: \"" + metricsAt + "\"\n"
	if err := p.a.Write(more + fmt.Sprintf("peers:\n  %v: {protect: false}\n", p.net.B1)); err != nil {
		return err
	}
	out, err := p.a.Ctl("reload")
	e.Check("reload tells what it applied", err == nil && out == "peers applied\n", "%q %s", out, errText(err))
	now, err := p.established()
	e.Check("the context is the same afterwards", err == nil && now.Tag == c.Tag && now.TagPeer == c.TagPeer, "%s", errText(err))
	if _, err := p.a.Ctl("delete", c.Tag); err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	e.explains(p.a, p.net.B1.String(), "of a peer that the configuration refuses", "policy-refuses", false)
	if err := p.a.Write(more + "socet: /x\n"); err != nil {
		return err
	}
	_, err = p.a.Ctl("reload")
	e.Check("reload refuses a wrong file and names the line and the right key", err != nil && strings.Contains(err.Error(), `unknown key "socet", did you mean "socket"?`),
		"%s", errText(err))
	if err := errors.Join(p.a.Write(more), p.a.Hangup()); err != nil {
		return err
	}
	_, err = p.established()
	e.Works("with the policy gone by SIGHUP there is a context again", err)
	return nil
}

// measured looks for a line in the metrics of a host.
func (e *Env) measured(n *node.Node, want string) error {
	time.Sleep(2 * time.Second) // what was told a moment ago is told again
	var text []byte
	err := n.Do(func() error {
		c, err := net.Dial("tcp", metricsAt)
		if err != nil {
			return err
		}
		client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil },
		}}
		resp, err := client.Get("http://" + metricsAt + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err = io.ReadAll(resp.Body)
		return err
	})
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	e.Check("metrics have "+want, bytes.Contains(text, []byte("\n"+want+"\n")), "%d octets", len(text))
	return nil
}

// examined has doctor look at the host as it is, and with a firewall that drops Shim6.
func (e *Env) examined(d *daemon.Daemon, n *node.Node) error {
	doctor := func() string {
		out, err := d.Ctl("doctor", "--config", d.Config())
		return out + errText(err)
	}
	out := doctor()
	good := true
	for _, code := range []string{"module-loaded", "daemon-runs", "keys-good", "providers", "source-routing", "firewall-open", "mtu-good"} {
		good = good && strings.Contains(out, code)
	}
	e.Check("doctor finds a good host good", good, "%s", strings.ReplaceAll(out, "\n", " | "))
	conn, err := nftables.New(nftables.WithNetNSFd(n.FD()))
	if err != nil {
		return err
	}
	drop := nftables.ChainPolicyDrop
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "wall"})
	conn.AddChain(&nftables.Chain{
		Name: "input", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput,
		Priority: nftables.ChainPriorityFilter, Policy: &drop,
	})
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("firewall: %w", err)
	}
	out = doctor()
	conn.DelTable(table)
	e.Check("doctor finds a firewall that drops protocol 140", strings.Contains(out, "firewall-drops-140") && strings.Contains(out, "checks failed"),
		"%s", strings.ReplaceAll(out, "\n", " | "))
	return conn.Flush()
}

// bundled looks into a debug bundle.
func (e *Env) bundled(d *daemon.Daemon) error {
	file := "/tmp/bundle.tar.gz"
	if _, err := d.Ctl("debug-bundle", "--config", d.Config(), "--out", file); !e.Works("debug-bundle writes a file", err) {
		return nil
	}
	defer os.Remove(file)
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	has, secret := map[string]int64{}, false
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		has[strings.TrimPrefix(h.Name, "shim6-debug/")] = h.Size
		secret = secret || bytes.Contains(b, []byte("PRIVATE KEY"))
	}
	whole := true
	for _, name := range []string{"contexts.json", "log.json", "doctor.json", "stats.json", "xfrm-state.txt", "route.txt", "kernel-log.txt", "shim6.yaml"} {
		whole = whole && has[name] > 10
	}
	e.Check("the bundle has what helps, and no private key", whole && !secret, "%v", has)
	return nil
}
