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

// Port is where the sender listens.
const Port = 5201

// A Transfer says what to move, from where to where, and how fast.
type Transfer struct {
	From, To     *node.Node
	Src, Dst     netip.Addr
	Source, Sink string // files
	Pace         Pace
	Log          string // folder and prefix of the two programs' output
}

// pacingTimer is how often the sender looks whether it may send, in microseconds. The default of 1000 is what most of a
// long run would be spent on.
const pacingTimer = "5000"

// A Pace is how fast a transfer goes.
type Pace struct {
	RateMbit int // on average, in 10^6 bit/s
	// Block is what the sender writes at a time, in octets. Small blocks keep the stream even: with large ones a failure
	// could fall into a pause of the sender.
	Block int
}

// Octets returns how much a transfer moves in a time. One that stood still catches up at once, as fast as the path allows.
func (p Pace) Octets(d time.Duration) int64 {
	return int64(d.Seconds() * float64(p.RateMbit) * 1e6 / 8)
}

// A Running transfer has not ended yet, or has and was not waited for.
type Running struct {
	Sender, Receiver *node.Process
}

// Start starts the sender as a server, waits until it listens, and has the receiver fetch the file. iperf3 ends a test when
// its client has enough; with the receiver as the client that is when everything has arrived.
func (t Transfer) Start() (*Running, error) {
	source, err := os.Stat(t.Source)
	if err != nil {
		return nil, err
	}
	port := fmt.Sprint(Port)
	sender, err := t.From.Launch(t.Log+"sender.log", "iperf3", "--server", "--one-off", "--version6", "--bind", t.Src.String(),
		"--port", port, "--file", t.Source, "--json")
	if err != nil {
		return nil, err
	}
	if err := listening(t.From, Port, 10*time.Second); err != nil {
		sender.Kill()
		return nil, err
	}
	receiver, err := t.To.Launch(t.Log+"receiver.log", "iperf3", "--client", t.Src.String(), "--version6", "--bind", t.Dst.String(),
		"--port", port, "--reverse", "--file", t.Sink, "--bytes", fmt.Sprint(source.Size()), "--length", fmt.Sprint(t.Pace.Block),
		"--bitrate", fmt.Sprintf("%dM", t.Pace.RateMbit), "--pacing-timer", pacingTimer, "--json")
	if err != nil {
		sender.Kill()
		return nil, err
	}
	return &Running{Sender: sender, Receiver: receiver}, nil
}

// Over tells whether the receiver has ended.
func (r *Running) Over() bool { return !r.Receiver.Running() }

// Wait waits until both programs have ended well.
func (r *Running) Wait(limit time.Duration) error {
	if err := r.Receiver.Wait(limit); err != nil {
		return err
	}
	return r.Sender.Wait(10 * time.Second)
}

// Kill ends both programs at once.
func (r *Running) Kill() {
	r.Receiver.Kill()
	r.Sender.Kill()
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
