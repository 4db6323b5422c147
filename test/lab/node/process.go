// SPDX-License-Identifier: MIT

package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Process is a program that runs in a node, both its streams going to a file.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Launch starts a program; log is created, or appended to when it is there.
func (n *Node) Launch(log, name string, args ...string) (*Process, error) {
	return n.LaunchIn("", log, name, args...)
}

// LaunchIn does so with another folder as the root of the file system, unless that is empty.
func (n *Node) LaunchIn(root, log, name string, args ...string) (*Process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := exec.Command(name, args...)
	within(cmd, root)
	cmd.Stdout, cmd.Stderr = f, f
	if err := n.Start(cmd); err != nil {
		return nil, fmt.Errorf("start %s in %s: %w", name, n.Name, err)
	}
	p := &Process{name: fmt.Sprintf("%s in %s", filepath.Base(name), n.Name), log: log, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Running tells whether the program has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait waits for the end of the program; the error is how it ended, or that it did not within the limit.
func (p *Process) Wait(limit time.Duration) error {
	select {
	case <-p.done:
		return p.ended()
	case <-time.After(limit):
		return fmt.Errorf("%s did not end in %v, see %s", p.name, limit, filepath.Base(p.log))
	}
}

func (p *Process) ended() error {
	if p.err != nil {
		return fmt.Errorf("%s: %w, see %s", p.name, p.err, filepath.Base(p.log))
	}
	return nil
}

// Stop asks the program to end, and kills it when it does not within 5 s, which is an error.
func (p *Process) Stop() error {
	if !p.Running() {
		return p.ended()
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.ended()
	case <-time.After(5 * time.Second):
		p.Kill()
		return fmt.Errorf("%s ignored SIGTERM for 5 s and was killed", p.name)
	}
}

// Memory returns the octets of memory that the program takes.
func (p *Process) Memory() (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no VmRSS", p.name)
}

// Hangup asks the program to read its configuration again.
func (p *Process) Hangup() error {
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// Kill ends the program at once.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}
