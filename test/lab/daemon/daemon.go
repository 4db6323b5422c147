// SPDX-License-Identifier: MIT

// Package daemon runs shim6d in a node, asks it by its control socket, as other programs would, and orders it about with
// shim6ctl, as an operator would. Asking is frequent and a program's start is what costs a guest most.
package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"shim6/test/lab/node"
	"shim6/test/lab/report"
)

// A Daemon is a shim6d in a node.
type Daemon struct {
	node    *node.Node
	process *node.Process
	socket  string
	config  string
	first   string // what the configuration was, once it was changed
	log     string
}

// A Config is what the cases choose of a daemon's configuration.
type Config struct {
	Keys        string // the host whose keys it has
	SendTimeout time.Duration
	Heuristic   string
	Teardown    time.Duration // zero for the default
	More        string        // lines of YAML
}

// New prepares a daemon. Its log goes to a file, one JSON object a line.
func New(n *node.Node, log string, c Config) (*Daemon, error) {
	dir := filepath.Join("/run", "shim6-"+n.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	d := &Daemon{
		node: n, log: log,
		socket: filepath.Join(dir, "shim6.sock"),
		config: filepath.Join(dir, "shim6.yaml"),
	}
	// Payload stays where a failure brought it, unless a case wants it back.
	yaml := fmt.Sprintf("keys: %s\nsocket: %s\nsend_timeout: %v\nfail_back: 0s\nheuristic: %s\nlog:\n  level: info\n  format: json\n",
		filepath.Join(report.KeyDir, c.Keys), d.socket, c.SendTimeout, c.Heuristic)
	if c.Teardown != 0 {
		yaml += fmt.Sprintf("teardown: %v\n", c.Teardown)
	}
	return d, os.WriteFile(d.config, []byte(yaml+c.More), 0o644)
}

// At returns a daemon that something else starts and stops, by its control socket.
func At(n *node.Node, socket string) *Daemon { return &Daemon{node: n, socket: socket} }

// SetFailBack changes the configuration of the daemon that is started next.
func (d *Daemon) SetFailBack(after time.Duration) error {
	old, err := os.ReadFile(d.config)
	if err != nil {
		return err
	}
	return os.WriteFile(d.config, bytes.Replace(old, []byte("fail_back: 0s"), fmt.Appendf(nil, "fail_back: %v", after), 1), 0o644)
}

// Configure adds to the configuration of the daemon that is started next.
func (d *Daemon) Configure(yaml string) error {
	f, err := os.OpenFile(d.config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(yaml)
	return errors.Join(err, f.Close())
}

// Start starts the daemon and waits until it answers.
func (d *Daemon) Start() error {
	var err error
	d.process, err = d.node.Launch(d.log, "shim6d", "--config", d.config)
	if err != nil {
		return err
	}
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(50 * time.Millisecond) {
		if !d.process.Running() {
			return fmt.Errorf("shim6d in %s ended: %w", d.node.Name, d.process.Stop())
		}
		var status struct{}
		if err = d.ask(&status, "status"); err == nil {
			return nil
		}
	}
	return fmt.Errorf("shim6d in %s does not answer after 10 s: %w", d.node.Name, err)
}

// Config returns the path of the daemon's configuration.
func (d *Daemon) Config() string { return d.config }

// Memory returns the octets of memory that the daemon takes.
func (d *Daemon) Memory() (int64, error) { return d.process.Memory() }

// Running tells whether the daemon still runs.
func (d *Daemon) Running() bool { return d.process != nil && d.process.Running() }

// Stop ends the daemon; its contexts stay in the kernel.
func (d *Daemon) Stop() error { return d.process.Stop() }

// Kill ends the daemon as a crash does, without a word.
func (d *Daemon) Kill() { d.process.Kill() }

// StateFile returns the path of the file that carries contexts over a restart.
func (d *Daemon) StateFile() string { return filepath.Join(filepath.Dir(d.socket), "contexts.json") }

// Logged counts how often the daemons here have logged a message.
func (d *Daemon) Logged(message string) (int, error) {
	raw, err := os.ReadFile(d.log)
	return bytes.Count(raw, fmt.Appendf(nil, `"msg":%q`, message)), err
}

// LastLogged returns the last line with a message.
func (d *Daemon) LastLogged(message string) (string, error) {
	raw, err := os.ReadFile(d.log)
	last := ""
	for line := range bytes.Lines(raw) {
		if bytes.Contains(line, fmt.Appendf(nil, `"msg":%q`, message)) {
			last = strings.TrimSpace(string(line))
		}
	}
	return last, err
}

// Contexts asks for the contexts.
func (d *Daemon) Contexts() ([]Context, error) {
	var list []Context
	return list, d.ask(&list, "contexts")
}

// A LocalLocator is an address of the host that may be a locator.
type LocalLocator struct {
	Addr       netip.Addr `json:"addr"`
	Deprecated bool       `json:"deprecated"`
	Proof      string     `json:"proof"` // HBA, CGA or nothing
}

// Locators asks for the addresses that the host announces, or would if something proved them.
func (d *Daemon) Locators() ([]LocalLocator, error) {
	var list []LocalLocator
	return list, d.ask(&list, "locators")
}

// A Device is a network device, and who segments for it.
type Device struct {
	Name string `json:"name"`
	GSO  string `json:"gso"` // segment or whole
	Why  string `json:"why"`
}

// Devices asks for the network devices.
func (d *Daemon) Devices() ([]Device, error) {
	var list []Device
	return list, d.ask(&list, "devices")
}

// Stats asks for the counters, which have names within groups.
func (d *Daemon) Stats() (map[string]map[string]uint64, error) {
	var s map[string]map[string]uint64
	return s, d.ask(&s, "stats")
}

// Fork begins another context for the ULIDs of the one with a tag, on a locator pair.
func (d *Daemon) Fork(tag string, p Pair) error {
	_, err := d.ctl("fork", tag, "local="+p.Local.String(), "peer="+p.Peer.String())
	return err
}

// Flush drops every context.
func (d *Daemon) Flush() error {
	_, err := d.ctl("flush")
	return err
}

// ask reads what the control socket has below /v1.
func (d *Daemon) ask(v any, noun string) error {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", d.socket)
		},
	}}
	resp, err := client.Get("http://shim6d/v1/" + noun)
	if err != nil {
		return fmt.Errorf("%s of shim6d in %s: %w", noun, d.node.Name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s of shim6d in %s: %s", noun, d.node.Name, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return fmt.Errorf("%s of shim6d in %s: %w", noun, d.node.Name, err)
	}
	return nil
}

func (d *Daemon) ctl(args ...string) ([]byte, error) {
	var out, complaint bytes.Buffer
	cmd := exec.Command("shim6ctl", append([]string{"--socket", d.socket}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := d.node.Start(cmd); err != nil {
		return nil, fmt.Errorf("start shim6ctl: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return out.Bytes(), fmt.Errorf("shim6ctl %s in %s: %w: %s", strings.Join(args, " "), d.node.Name, err, strings.TrimSpace(complaint.String()))
	}
	return out.Bytes(), nil
}
