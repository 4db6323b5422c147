// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"net"
	"os/user"
	"path/filepath"
	"syscall"
	"testing"

	"shim6/daemon/nl"
	"shim6/daemon/run"
	"shim6/internal/clitest"
	"shim6/internal/socket"
)

func TestMistakes(t *testing.T) {
	p := clitest.New(t, "shim6d")
	p.File(t, "bad.yaml", "soket: /x\nsend_timeout: 5\n", 0o644)
	p.File(t, "closed.yaml", "", 0o000)
	p.File(t, "none.yaml", "keys: "+filepath.Join(p.Dir, "none")+"\n", 0o644)
	p.File(t, "secret.yaml", "keys: "+filepath.Join(p.Dir, "secret")+"\n", 0o644)
	p.Folder(t, "folder", 0o755)
	p.Folder(t, "secret", 0o000)
	const (
		help = `^shim6d --help tells the options$`
		root = `^run it as root, or as a user who may`
		keys = `^shim6.yaml\(5\) has every key; check a change with: shim6d --check$`
		mint = `^make a key and parameters: cgad init; or on another machine: cgatool generate --help$`
	)
	p.Try(t, []clitest.Mistake{
		{Args: "--frob", Status: 2, Error: `^flag provided but not defined: -frob$`, Hint: help},
		{Args: "start", Status: 2, Error: `^unknown argument "start"$`, Hint: help},
		{Args: "--config", Status: 2, Error: `^flag needs an argument: -config$`, Hint: help},
		{Nobody: true, Args: "", Status: 1, Error: `^shim6d lacks CAP_NET_ADMIN .* and CAP_NET_RAW `, Hint: `^run it as root$`},
		{Args: "--config missing.yaml", Status: 1, Error: `^open missing.yaml: no such file or directory$`,
			Hint: `^name a file that exists; without --config it is /etc/shim6/shim6.yaml, which may be missing$`},
		{Args: "--check --config bad.yaml", Status: 1, Error: `^bad.yaml:1: unknown key "soket", did you mean "socket"\?$`, Hint: keys},
		{Args: "--check --config folder", Status: 1, Error: `folder: is a directory$`, Hint: `^name a file, not a directory$`},
		{Nobody: true, Args: "--check --config closed.yaml", Status: 1, Error: `^open closed.yaml: permission denied$`, Hint: root},
		{Args: "--check --config none.yaml", Status: 1, Error: `^key directory: open .*/none: no such file or directory$`, Hint: mint},
		{Nobody: true, Args: "--check --config secret.yaml", Status: 1, Error: `^key directory: open .*/secret: permission denied$`, Hint: root},
		{Args: "--check --config none.yaml --signer none.sock", Status: 1, Error: `^signer none.sock: dial unix none.sock: connect: no such file or directory$`,
			Hint: `^is it there, and may this user ask it\? systemctl status shim6-signer.socket`},
	})
}

// What keeps the daemon from starting on a host where it could run.
func TestHint(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, inUse := net.Listen("tcp", l.Addr().String())
	path := filepath.Join(t.TempDir(), "contexts.json")
	first, err := run.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, locked := run.Lock(path)
	_, group := user.LookupGroup("no-such-group")
	for _, tc := range []struct {
		err  error
		want string
	}{
		{nl.ErrNotLoaded, "load the kernel module: modprobe shim6; if there is none for this kernel: dkms status"},
		{fmt.Errorf("control socket: %w", socket.ErrRuns), "one is enough for a network namespace: systemctl status shim6d"},
		{locked, "one is enough for a network namespace: systemctl status shim6d"},
		{fmt.Errorf("socket_group: %w", group), "make the group: groupadd --system NAME; or leave socket_group out of shim6.yaml(5)"},
		{fmt.Errorf("metrics: %w", inUse), "another process listens there: stop it, or choose another address or port"},
		{fmt.Errorf("control socket: %w", syscall.EACCES), "run it as root, or as a user who may do that"},
		{errors.New("something else"), "shim6ctl doctor looks for what is wrong on this host"},
	} {
		if tc.err == nil {
			t.Errorf("there is no error for %q", tc.want)
		} else if got := hint(tc.err); got != tc.want {
			t.Errorf("%v: %q, want %q", tc.err, got, tc.want)
		}
	}
}
