// SPDX-License-Identifier: MIT

package cases

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"shim6/test/lab/daemon"
)

var daemonUpgrade = Case{
	Name:     "daemon-upgrade",
	About:    "shim6d is replaced under a flow as a package does, and finds saved contexts of every kind",
	FastTime: true,
	Daemons:  true,
	Limit:    5 * time.Minute,
	Run:      runDaemonUpgrade,
}

func runDaemonUpgrade(e *Env) error {
	e.TSend = killSendTimeout
	tr, err := e.newTrial(13*time.Second, "none")
	defer func() { tr.end() }()
	if err != nil {
		return err
	}
	return tr.steps(
		func() error { return tr.oneContext("before") },
		func() error { return tr.upgrade("a", tr.a, nil) },
		func() error { return tr.failNow("a failure right after the upgrade of a", tr.e.TSend+slack) },
		func() error { return tr.upgrade("b", tr.b, nil) },
		func() error { return tr.upgrade("b, which saved as the version before does", tr.b, asVersionBefore) },
		tr.checkStateFile,
		tr.badStateFiles,
	)
}

// upgrade puts a new program in the place of the running one, asks that to end, and starts the new one. Meanwhile the
// contexts are the kernel's alone.
func (tr *trial) upgrade(who string, d *daemon.Daemon, edit func([]byte) []byte) error {
	before, err := tr.established()
	if err != nil {
		return err
	}
	tr.suffer("upgrade of "+who, unnoticed)
	if err := replaceProgram("shim6d"); err != nil {
		return err
	}
	err = d.Stop()
	tr.e.Works("upgrade of "+who+": the daemon ends when it is asked to", err)
	tr.e.checkStates(tr.net, 2)
	if edit != nil {
		if err := editFile(d.StateFile(), edit); err != nil {
			return err
		}
	}
	time.Sleep(500 * time.Millisecond)
	if err := d.Start(); err != nil {
		return err
	}
	return tr.sameContext("after the upgrade of "+who, before)
}

// replaceProgram does as a package manager does: the new file takes the name, the running program keeps the old file.
func replaceProgram(name string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", raw, 0o755); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func editFile(path string, edit func([]byte) []byte) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed := edit(raw)
	if bytes.Equal(raw, changed) {
		return fmt.Errorf("%s: nothing to change in %.80q", path, raw)
	}
	return os.WriteFile(path, changed, 0o600)
}

var headOfState = regexp.MustCompile(`"version":2,"boot":"[^"]+"`)

func withHead(head string) func([]byte) []byte {
	return func(raw []byte) []byte { return headOfState.ReplaceAll(raw, []byte(head)) }
}

// asVersionBefore makes of a file of saved contexts what the version before would have written.
var asVersionBefore = withHead(`"version":1`)

// badStateFiles are what a daemon may find and must not believe, and a word of what it says about it.
var badStateFiles = []struct {
	name, says string
	edit       func([]byte) []byte
}{
	{"of a later version", "version 3", withHead(`"version":3,"boot":"x","colour":"red"`)},
	{"of another boot", "reboot", withHead(`"version":2,"boot":"00000000-0000-0000-0000-000000000000"`)},
	{"cut short", "unexpected end", func(raw []byte) []byte { return raw[:len(raw)/2] }},
	{"empty", "unexpected end", func([]byte) []byte { return nil }},
	{"of somebody else", "invalid character", func([]byte) []byte { return []byte("hello\n") }},
	{"with an impossible tag", "cannot unmarshal", func(raw []byte) []byte { return bytes.ReplaceAll(raw, []byte(`"TagPeer":`), []byte(`"TagPeer":-`)) }},
}

// badStateFiles has b find each of them while packets are rewritten: it says so in one line, drops what it knows nothing of,
// and the peer's payload brings the context back.
func (tr *trial) badStateFiles() error {
	const complaint = "saved contexts not read"
	for _, f := range badStateFiles {
		before, err := tr.established()
		if err != nil {
			return err
		}
		told, err := tr.b.Logged(complaint)
		if err != nil {
			return err
		}
		what := "saved contexts " + f.name
		tr.suffer(what, 0)
		if err := errors.Join(tr.b.Stop(), editFile(tr.b.StateFile(), f.edit), tr.b.Start()); err != nil {
			return err
		}
		tr.allow(tr.since() + slack)
		if err := tr.recovered(what, tr.b, before); err != nil {
			return err
		}
		now, err := tr.b.Logged(complaint)
		if err != nil {
			return err
		}
		line, err := tr.b.LastLogged(complaint)
		tr.e.Check(what+": b says so in one line", err == nil && now == told+1 && strings.Contains(line, f.says), "%d lines, %s", now-told, line)
		if err := tr.flows(what, 5*time.Second); err != nil {
			return err
		}
	}
	return nil
}

// checkStateFile looks at the file itself.
func (tr *trial) checkStateFile() error {
	path := tr.a.StateFile()
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	tr.e.Check("saved contexts are root's alone", info.Mode() == fs.FileMode(0o600), "%v", info.Mode())
	tr.e.Check("one context takes less than 32 KiB", info.Size() < 32<<10, "%d octets", info.Size())
	list, err := filepath.Glob(path + "*")
	if err != nil {
		return err
	}
	slices.Sort(list)
	tr.e.Check("nothing else lies beside them", slices.Equal(list, []string{path, path + ".lock"}), "%v", list)
	return nil
}
