// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"shim6/cgad/autoconf"
	"shim6/cgad/netlab"
	"shim6/cgad/run"
)

// A buffer may be read while a program writes to it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return string(out)
}

// wantFewPrivileges checks that every thread of the process has but one capability left, and can get none back.
func wantFewPrivileges(t *testing.T, pid int) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) < 2 {
		t.Fatalf("threads are %v, %v", threads, err)
	}
	for _, file := range threads {
		text := readText(t, file)
		for name, want := range map[string]string{
			"CapInh": "0000000000000000", "CapPrm": "0000000000001000", "CapEff": "0000000000001000", "CapBnd": "0000000000001000",
			"CapAmb": "0000000000000000", "NoNewPrivs": "1",
		} {
			if !strings.Contains(text, "\n"+name+":\t"+want+"\n") {
				t.Errorf("%s: no %s %s in\n%s", file, name, want, text)
			}
		}
	}
}

// The program as the service manager runs it: ready, status, reload, stop.
func TestDaemon(t *testing.T) {
	one, two := netlab.NewLink(t, "h0", "r0"), netlab.NewLink(t, "h1", "r1")
	if err := netlab.LoopbackUp(); err != nil {
		t.Fatal(err)
	}
	before := output(t, "ip", "-6", "rule")
	dir := t.TempDir()
	socket, file := filepath.Join(dir, "cgad.sock"), filepath.Join(dir, "cgad.yaml")
	configure := func(interfaces string) {
		text := fmt.Sprintf("keys: %s/keys\nsocket: %s\nstate: %s/state.json\nmetrics: \"[::1]:9533\"\ninterfaces: [%s]\non_stop: remove-addresses\n",
			dir, socket, dir, interfaces)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure(`"h*"`)
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()

	var log buffer
	cmd := exec.Command("cgad", "--config", file)
	cmd.Stderr = &log
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+manager.LocalAddr().String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		if t.Failed() {
			t.Log(log.String())
		}
	})
	told := func(want string) {
		t.Helper()
		b := make([]byte, 4096)
		n, err := manager.Read(b)
		if err != nil || !strings.HasPrefix(string(b[:n]), want) {
			t.Fatalf("the service manager hears %q, %v; want %q", b[:n], err, want)
		}
	}
	told("READY=1")
	wantFewPrivileges(t, cmd.Process.Pid)
	status := func() (s run.Status) {
		t.Helper()
		if err := json.Unmarshal([]byte(output(t, "cgad", "status", "--json", "--socket", socket)), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	netlab.Wait(t, "the socket", func() bool { return exec.Command("cgad", "status", "--socket", socket).Run() == nil })
	netlab.Wait(t, "the links", func() bool { return len(status().Links) == 2 })
	for i, l := range []*netlab.Link{one, two} {
		prefix := fmt.Sprintf("2001:db8:%d::/64", i+1)
		l.Advertise(t, fmt.Sprintf("fe80::%d", i+1), netlab.Advertisement{Lifetime: 1800, Prefixes: []netlab.Prefix{{Prefix: prefix, Valid: 7200, Preferred: 3600}}})
	}
	ready := func(links int) func() bool {
		return func() bool {
			s := status()
			for _, l := range s.Links {
				if len(l.Addresses) != 1 || l.Addresses[0].State != autoconf.Ready {
					return false
				}
			}
			return len(s.Links) == links && len(s.Rules) == links
		}
	}
	netlab.Wait(t, "two addresses", ready(2))
	text := output(t, "cgad", "status", "--socket", socket)
	for _, want := range []string{"h0  up", "CGA default", "ready", "router fe80::2", "rule from 2001:db8:2::/64"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}

	resp, err := http.Get("http://[::1]:9533" + run.MetricsPath)
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.Contains(string(metrics), "\ncgad_rules 2\n") {
		t.Errorf("metrics are %s, %v", metrics, err)
	}

	configure("h0")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	told("RELOADING=1\nMONOTONIC_USEC=")
	told("READY=1")
	netlab.Wait(t, "one address", ready(1))
	if got := netlab.ReadSysctl(t, "h1", "autoconf") + netlab.ReadSysctl(t, "h0", "autoconf"); got != "10" {
		t.Errorf("autoconf on h1 and h0 is %s", got)
	}
	// The command does what the signal does, and tells what is wrong.
	if out := output(t, "cgad", "reload", "--socket", socket); out != "" {
		t.Errorf("reload says %q", out)
	}
	told("RELOADING=1")
	told("READY=1")
	configure("h0]")
	out, err := exec.Command("cgad", "reload", "--socket", socket).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "cgad.yaml: ") || !strings.Contains(string(out), "the configuration stays as it was") {
		t.Errorf("a wrong configuration: %v, %s", err, out)
	}
	told("RELOADING=1")
	told("READY=1")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	told("RELOADING=1")
	told("READY=1")
	netlab.Wait(t, "the mistake to be logged", func() bool { return strings.Contains(log.String(), "msg=reload error=") })
	if !ready(1)() {
		t.Errorf("a wrong configuration changed the state to %+v", status())
	}

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	told("STOPPING=1")
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if after := output(t, "ip", "-6", "rule"); after != before {
		t.Errorf("rules were\n%s\nand are\n%s", before, after)
	}
	if routes := output(t, "ip", "-6", "route", "show", "table", "all", "proto", "140"); routes != "" {
		t.Errorf("routes are left: %s", routes)
	}
	for _, l := range []*netlab.Link{one, two} {
		for _, a := range netlab.Addresses(t, l.Host) {
			if !a.IP.IsLinkLocalUnicast() {
				t.Errorf("%v is left", a)
			}
		}
		if got := netlab.ReadSysctl(t, l.Host.Attrs().Name, "autoconf"); got != "1" {
			t.Errorf("autoconf on %s is %s", l.Host.Attrs().Name, got)
		}
	}
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}
