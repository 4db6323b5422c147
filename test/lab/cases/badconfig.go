// SPDX-License-Identifier: MIT

package cases

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"shim6/test/lab/daemon"
	"shim6/test/lab/node"
	"shim6/test/lab/report"
)

var badConfig = Case{
	Name:    "bad-config",
	About:   "shim6d refuses a wrong configuration, key or surrounding with a clear error",
	Daemons: true,
	Limit:   5 * time.Minute,
	Run:     runBadConfig,
}

// mistakes are configurations and what the complaint must name.
var mistakes = []struct{ name, yaml, names string }{
	{"unknown key", "send_timout: 3s\n", "send_timout"},
	{"no duration", "send_timeout: banana\n", "send_timeout"},
	{"too short a time", "send_timeout: 1ms\n", "send_timeout"},
	{"too long a time", "send_timeout: 9000h\n", "send_timeout"},
	{"negative time", "send_timeout: -3s\n", "send_timeout"},
	{"list for a value", "socket: [a, b]\n", "socket"},
	{"value for a mapping", "log: loud\n", "log"},
	{"unknown level", "log:\n  level: shout\n", "level"},
	{"unknown nested key", "log:\n  colour: red\n", "colour"},
	{"unknown GSO mode", "gso: perhaps\n", "gso"},
	{"key twice", "heuristic: none\nheuristic: default\n", "heuristic"},
	{"two documents", "heuristic: none\n---\nheuristic: none\n", ""},
	{"list", "- a\n- b\n", ""},
	{"tab", "log:\n\tlevel: info\n", ""},
	{"open bracket", "interfaces: [p1\n", ""},
	{"no text", "\x00\x01\x02\xff\xfe", ""},
	{"endless aliases", "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nkeys: *c\n", ""},
	{"three megabytes", strings.Repeat("# padding\n", 300000), ""},
}

func runBadConfig(e *Env) error {
	n, err := node.New("c")
	if err != nil {
		return err
	}
	defer func() { e.Works("the namespace goes away", n.Delete()) }()
	file := e.Path("shim6.yaml")
	for _, m := range mistakes {
		if err := os.WriteFile(file, []byte(m.yaml), 0o644); err != nil {
			return err
		}
		e.refuses(n, "configuration: "+m.name, m.names, "--config", file, "--check")
	}
	e.refuses(n, "configuration that is not there", "", "--config", e.Path("nonesuch.yaml"), "--check")
	e.refuses(n, "configuration that is a folder", "", "--config", "/tmp", "--check")
	e.refuses(n, "unknown option", "", "--frobnicate")
	e.refuses(n, "unknown argument", "", "frobnicate")

	if err := e.wrongKeys(n, file); err != nil {
		return err
	}
	good := goodConfig(n, filepath.Join(report.KeyDir, "a"))
	if err := os.WriteFile(file, []byte(good), 0o644); err != nil {
		return err
	}
	out, err := n.Output("shim6d", "--config", file, "--check")
	e.Check("a good configuration is found good", err == nil, "%s %s", strings.TrimSpace(out), errText(err))
	e.refuses(n, "no kernel module", "", "--config", file)
	if err := e.loadUnderTest(); err != nil {
		return err
	}
	defer e.unloadUnderTest()
	for name, yaml := range map[string]string{
		"heuristic that the kernel lacks": strings.Replace(good, "heuristic: default", "heuristic: nonesuch", 1),
		"socket where no folder can be":   strings.Replace(good, "socket: /run", "socket: /proc/no/such", 1),
		"socket with too long a name":     strings.Replace(good, "socket: /run", "socket: /run/"+strings.Repeat("x", 120), 1),
	} {
		if err := os.WriteFile(file, []byte(yaml), 0o644); err != nil {
			return err
		}
		e.refuses(n, name, "", "--config", file)
	}
	return e.runsOnce(n)
}

// wrongKeys tries key folders that cannot be used.
func (e *Env) wrongKeys(n *node.Node, file string) error {
	key, err := os.ReadFile(filepath.Join(report.KeyDir, "a", "host.pem"))
	if err != nil {
		return err
	}
	for name, c := range map[string]struct {
		mode os.FileMode
		text []byte
	}{
		"key that everybody can read": {0o644, key},
		"key that is cut short":       {0o600, key[:len(key)/2]},
		"key that is no key":          {0o600, []byte("hello\n")},
	} {
		dir, err := os.MkdirTemp("", "keys")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "host.pem"), c.text, c.mode); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(goodConfig(n, dir)), 0o644); err != nil {
			return err
		}
		e.refuses(n, name, "host.pem", "--config", file, "--check")
	}
	if err := os.WriteFile(file, []byte(goodConfig(n, "/nonesuch")), 0o644); err != nil {
		return err
	}
	e.refuses(n, "key folder that is not there", "/nonesuch", "--config", file, "--check")
	return nil
}

// runsOnce checks that the daemon runs where all is well, and that a second one does not disturb it.
func (e *Env) runsOnce(n *node.Node) error {
	d, err := daemon.New(n, e.Path(report.DaemonLog("c")), daemon.Config{Keys: "a", SendTimeout: e.TSend, Heuristic: "default"})
	if err != nil {
		return err
	}
	if err := d.Start(); !e.Works("shim6d runs with a good configuration", err) {
		return err
	}
	e.refuses(n, "second daemon in the namespace", "", "--config", d.Config())
	_, err = d.Stats()
	e.Check("the first daemon still answers", err == nil && d.Running(), "%s", errText(err))
	e.Works("shim6d stops", d.Stop())
	return nil
}

func goodConfig(n *node.Node, keys string) string {
	return fmt.Sprintf("keys: %s\nsocket: /run/%s.sock\nheuristic: default\n", keys, n.Name)
}

// refuses checks that shim6d ends by itself, soon, with an error that is a sentence for people and names the thing.
func (e *Env) refuses(n *node.Node, name, names string, args ...string) {
	log := filepath.Join(os.TempDir(), "refused.log")
	_ = os.Remove(log)
	p, err := n.Launch(log, "shim6d", args...)
	if err != nil {
		e.Works("refused: "+name, err)
		return
	}
	err = p.Wait(10 * time.Second)
	if p.Running() {
		p.Kill()
		e.Check("refused: "+name, false, "shim6d ran on")
		return
	}
	text, readErr := os.ReadFile(log)
	said := strings.TrimSpace(string(text))
	crashed := strings.Contains(said, "panic:") || strings.Contains(said, "goroutine ")
	ok := err != nil && readErr == nil && !crashed && strings.Contains(said, "error:") && strings.Contains(said, names)
	e.Check("refused: "+name, ok, "%.200q %s", said, errText(readErr))
}
