// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"os"
	"time"

	"shim6/test/lab/capture"
	"shim6/test/lab/fault"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

// view is where a transfer is captured.
type view struct{ node, device string }

var (
	everywhere   = []view{{"a", "p1"}, {"a", "p2"}, {"b", "p1"}}
	receiverOnly = []view{{"b", "p1"}}
)

// A transfer is one run of iperf3 from a to b across a failure, as far as it has come.
type transfer struct {
	report.Transfer
	source, sink string
	running      *traffic.Running
	captures     []*capture.Capture
}

// startTransfer begins to move the source file from a1 to b1. Captures and the output of iperf3 are named after the run.
func (e *Env) startTransfer(net *topo.Network, name, source string, pace traffic.Pace, views []view) (*transfer, error) {
	t := &transfer{Transfer: report.Transfer{Name: name}, source: source, sink: e.Path(report.ReceivedName(name))}
	info, err := os.Stat(source)
	if err != nil {
		return nil, err
	}
	t.Sent = info.Size()
	for _, v := range views {
		c, err := capture.Start(net.Node(v.node), v.device, e.Path(report.CaptureName(name, v.node, v.device)))
		if err != nil {
			return nil, errors.Join(err, t.stopCaptures())
		}
		t.captures = append(t.captures, c)
	}
	t.Start = time.Now()
	t.running, err = traffic.Transfer{
		From: net.A, To: net.B, Src: net.A1, Dst: net.B1, Source: source, Sink: t.sink,
		Pace: pace, Log: e.Path(name + "-iperf3-"),
	}.Start()
	if err != nil {
		return nil, errors.Join(err, t.stopCaptures())
	}
	return t, nil
}

// cut makes a provider drop everything.
func (t *transfer) cut(s *fault.Switch) error {
	if t.running.Over() {
		return fmt.Errorf("%s: the transfer was over before the failure", t.Name)
	}
	t.Cut = time.Now()
	return s.Cut()
}

// finish waits for the end of the transfer and compares what arrived. That it did not end, or not well, is for the
// checks to judge.
func (t *transfer) finish(limit time.Duration) error {
	ended := t.running.Wait(limit)
	t.Finished = ended == nil
	if !t.Finished {
		t.Trouble = ended.Error()
		t.running.Kill()
	}
	return t.end()
}

// abandon ends the transfer where it stands.
func (t *transfer) abandon() error {
	t.running.Kill()
	return t.end()
}

func (t *transfer) end() error {
	t.End = time.Now()
	var err error
	t.Received, t.Same, err = traffic.Compare(t.source, t.sink)
	return errors.Join(err, t.stopCaptures())
}

// discard removes what was received, which otherwise comes back.
func (t *transfer) discard() error { return os.Remove(t.sink) }

func (t *transfer) stopCaptures() error {
	var errs []error
	for _, c := range t.captures {
		errs = append(errs, c.Stop())
	}
	t.captures = nil
	return errors.Join(errs...)
}
