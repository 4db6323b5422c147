// SPDX-License-Identifier: MIT

package cases

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"shim6/test/lab/report"
	"shim6/test/lab/topo"
)

// commands are what the prompt offers beside busybox, which takes ip and cut for its own. Forwarding that is switched off drops silently, like a failed provider.
var commands = map[string]string{
	"on":   "n=$1; shift; exec /bin/ip netns exec \"$n\" \"$@\"",
	"ctl":  "h=$1; shift; exec /bin/ip netns exec \"$h\" shim6ctl --socket /run/shim6-$h/shim6.sock \"$@\"",
	"fail": "exec /bin/ip netns exec r$1 sysctl -qw net.ipv6.conf.all.forwarding=0",
	"heal": "exec /bin/ip netns exec r$1 sysctl -qw net.ipv6.conf.all.forwarding=1",
}

const welcome = `
  host a -+- p1 -- r1 --+
          |             +-- r3 -- p1 -- host b
          +- p2 -- r2 --+

  $a1, $a2 and $b1 are the hosts' addresses; shim6d runs in a and b, its logs are in %s
  on HOST COMMAND...    run a command in a, b, r1, r2 or r3, such as: on a ping $b1
  ctl HOST ARGUMENTS... shim6ctl, such as: ctl a contexts
  fail 1, heal 1        let provider 1 (or 2) drop everything, and forward again
  try: on a iperf3 -s -D; on b iperf3 -c $a1 -t 60 -R &   then: fail 1
  exit                  switch the machine off

`

// Shell gives the console a prompt in the network until the user leaves it.
func Shell(job *report.Job) error {
	e := &Env{Job: job, send: func(report.Line) {}}
	net, err := topo.Build(e.addresses(), e.RTT)
	if err != nil {
		return err
	}
	if _, err := e.startPeers(net, "default"); err != nil {
		return err
	}
	for name, text := range commands {
		if err := os.WriteFile("/bin/"+name, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			return err
		}
	}
	fmt.Printf(welcome, report.OutDir)
	sh := exec.Command("/bin/sh", "-i")
	sh.Stdin, sh.Stdout, sh.Stderr = os.Stdin, os.Stdout, os.Stderr
	sh.Dir = report.OutDir
	sh.Env = append(os.Environ(), "HOME=/", "TERM=linux", "PS1=lab# ",
		"a1="+net.A1.String(), "a2="+net.A2.String(), "b1="+net.B1.String())
	// Its own session makes the console its terminal, so that ctrl-C reaches what runs in it.
	sh.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	// How the last command ended is nothing to report.
	_ = sh.Run()
	return nil
}
