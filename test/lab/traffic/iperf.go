// SPDX-License-Identifier: MIT

// Package traffic moves a file from one host to another with the distribution's iperf3.
package traffic

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"shim6/test/lab/node"
)

// Port is where the receiver listens.
const Port = 5201

// A Transfer says what to move, from where to where, and how fast.
type Transfer struct {
	From, To     *node.Node
	Src, Dst     netip.Addr
	Source, Sink string // files
	RateMbit     int    // of the transfer on average, in 10^6 bit/s
	// BurstMbit is how fast a transfer that fell behind catches up.
	BurstMbit int
	Log       string // folder and prefix of the two programs' output
}

// A Running transfer has not ended yet, or has and was not waited for.
type Running struct {
	Client, Server *node.Process
}

// Start starts the receiver, waits until it listens, and starts the sender.
func (t Transfer) Start() (*Running, error) {
	port := fmt.Sprint(Port)
	server, err := t.To.Launch(t.Log+"server.log", "iperf3", "--server", "--one-off", "--version6", "--bind", t.Dst.String(),
		"--port", port, "--file", t.Sink, "--json")
	if err != nil {
		return nil, err
	}
	if err := listening(t.To, Port, 10*time.Second); err != nil {
		server.Kill()
		return nil, err
	}
	// Small blocks keep the stream even: with large ones a failure could fall into a pause of the sender.
	client, err := t.From.Launch(t.Log+"client.log", "iperf3", "--client", t.Dst.String(), "--version6", "--bind", t.Src.String(),
		"--port", port, "--file", t.Source, "--time", "3600", "--length", "16K", "--json",
		"--bitrate", fmt.Sprintf("%dM", t.RateMbit), "--fq-rate", fmt.Sprintf("%dM", t.BurstMbit))
	if err != nil {
		server.Kill()
		return nil, err
	}
	return &Running{Client: client, Server: server}, nil
}

// Wait waits until both programs have ended well.
func (r *Running) Wait(limit time.Duration) error {
	if err := r.Client.Wait(limit); err != nil {
		return err
	}
	return r.Server.Wait(10 * time.Second)
}

// Kill ends both programs at once.
func (r *Running) Kill() {
	r.Client.Kill()
	r.Server.Kill()
}

// listening waits until somebody in the node listens on a TCP port.
func listening(n *node.Node, port uint16, limit time.Duration) error {
	// "  0: ADDRESS:PORT ADDRESS:PORT STATE", state 0A being LISTEN.
	want := fmt.Sprintf(":%04X 00000000000000000000000000000000:0000 0A", port)
	for start := time.Now(); time.Since(start) < limit; time.Sleep(20 * time.Millisecond) {
		var table []byte
		err := n.Do(func() (err error) {
			table, err = os.ReadFile("/proc/thread-self/net/tcp6")
			return err
		})
		if err != nil {
			return err
		}
		if strings.Contains(string(table), want) {
			return nil
		}
	}
	return fmt.Errorf("nobody listens on port %d in %s after %v", port, n.Name, limit)
}
