// SPDX-License-Identifier: MIT

package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shim6/internal/clitest"
)

func TestMistakes(t *testing.T) {
	p := clitest.New(t, "shim6ctl")
	p.File(t, "junk", "", 0o644)
	p.Folder(t, "closed", 0o555)
	p.Folder(t, "secret", 0o000)
	l, err := net.Listen("unix", filepath.Join(p.Dir, "denied.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(filepath.Join(p.Dir, "denied.sock"), 0o000); err != nil {
		t.Fatal(err)
	}
	const (
		help  = `^shim6ctl --help tells the commands, shim6ctl COMMAND --help their flags$`
		start = `^start it: systemctl start shim6d; or name its control socket: --socket PATH; shim6ctl doctor looks for what is wrong$`
		root  = `^run as root or as a member of the socket's group$`
	)
	mistakes := []clitest.Mistake{
		{Args: "statsu", Status: 2, Error: `^unknown command "statsu" for "shim6ctl"; did you mean status or stats\?$`, Hint: help},
		{Args: "", Status: 2, Error: `^no command given$`, Hint: help},
		{Args: "--frob", Status: 2, Error: `^unknown flag: --frob$`, Hint: help},
		{Args: "contexts --frob", Status: 2, Error: `^unknown flag: --frob$`, Hint: `^usage: shim6ctl contexts \[TAG\] \[flags\]; shim6ctl contexts --help tells more$`},
		{Args: "contexts --state UP", Status: 2, Error: `^state "UP" is none of `, Hint: `^usage: shim6ctl contexts `},
		{Args: "contexts --peer zz", Status: 2, Error: `^"zz" is neither an address nor a prefix$`, Hint: `^usage: shim6ctl contexts `},
		{Args: "context", Status: 2, Error: `^accepts 1 arg\(s\), received 0$`, Hint: `^usage: shim6ctl context TAG `},
		{Args: "context xyz", Status: 2, Error: `^"xyz" is not a context tag`, Hint: `^usage: shim6ctl context TAG `},
		{Args: "locators xyz", Status: 2, Error: `^"xyz" is not an address$`, Hint: `^usage: shim6ctl locators `},
		{Args: "log --since yesterday", Status: 2, Error: `"yesterday"`, Hint: `^usage: shim6ctl log `},
		{Args: "explain 192.0.2.1", Status: 2, Error: `^"192.0.2.1" is not an IPv6 address`, Hint: `^usage: shim6ctl explain `},
		{Args: "switch 1 a,b", Status: 2, Error: `^"a,b" is not a locator pair`, Hint: `^usage: shim6ctl switch `},
		{Args: "set 1 x=1", Status: 2, Error: `^"x=1" is neither send-timeout=DURATION nor teardown=DURATION$`, Hint: `^usage: shim6ctl set `},
		{Args: "set all send-timeout=3", Status: 2, Error: `^"3" is not a duration`, Hint: `^usage: shim6ctl set `},
		{Args: "fork 1 local=q", Status: 2, Error: `^"q" is not an address$`, Hint: `^usage: shim6ctl fork `},
		{Args: "tune x", Status: 2, Error: `^"x" is not HEURISTIC.PARAMETER=NUMBER`, Hint: `^usage: shim6ctl tune `},
		{Args: "flush all", Status: 2, Error: `unknown command "all"`, Hint: `^usage: shim6ctl flush `},
		{Args: "top --socket none.sock", Status: 1, Error: `^top needs a terminal$`, Hint: `^for a pipe there are: `},
		{Nobody: true, Args: "debug-bundle --out closed/x.tar.gz", Status: 1, Error: `^open closed/x.tar.gz: permission denied$`, Hint: `^run it as root`},
		{Args: "debug-bundle --out junk", Status: 1, Error: `^open junk: file exists$`, Hint: `^choose another name`},
	}
	// Every other command asks the daemon.
	for _, args := range []string{
		"status", "contexts", "context 1", "paths", "flows", "locators", "heuristics", "devices", "stats", "log", "monitor", "trace 1",
		"explain 2001:db8::1", "delete 1", "probe 1", "switch 1 2001:db8::1,2001:db8::2", "prefer 1", "set 1 teardown=1m", "set all teardown=1m", "fork 1",
		"use default", "tune limit.contexts=1", "reload", "flush",
	} {
		for _, m := range []clitest.Mistake{
			{Args: "none.sock", Error: `^shim6d is not running: nobody listens on none.sock$`, Hint: start},
			{Args: "junk", Error: `^shim6d is not running: nobody listens on junk$`, Hint: start},
			{Nobody: true, Args: "denied.sock", Error: `^permission denied on denied.sock$`, Hint: root},
			{Nobody: true, Args: "secret/s", Error: `^permission denied on secret/s$`, Hint: root},
		} {
			m.Args, m.Status = args+" --socket "+m.Args, exitFail
			mistakes = append(mistakes, m)
		}
	}
	p.Try(t, mistakes)
	asked := make(map[string]bool)
	for _, m := range mistakes {
		name, _, _ := strings.Cut(m.Args, " ")
		asked[name] = true
	}
	for _, c := range (&env{}).command().Commands() {
		if !asked[c.Name()] && c.Name() != "doctor" { // its whole output is about mistakes
			t.Errorf("nobody is mistaken about %s", c.Name())
		}
	}
}
