// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"shim6/test/lab/report"
)

// A port is the serial line to the runner.
type port struct {
	mu   sync.Mutex
	file *os.File
}

func openPort() (*port, error) {
	f, err := os.OpenFile(report.PortPath, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", report.PortPath, err)
	}
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ICANON
	// 115200 baud is what the driver paces its writes by.
	t.Cflag = t.Cflag&^unix.CBAUD | unix.B115200
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t); err != nil {
		return nil, fmt.Errorf("%s: %w", report.PortPath, err)
	}
	return &port{file: f}, nil
}

func (p *port) send(l report.Line) {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) == nil {
		l.At = now.Nano()
	}
	raw, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.file.Write(append(raw, '\n')); err != nil {
		fmt.Fprintln(os.Stderr, "agent: report:", err)
	}
}

func (p *port) result(name string, err error) {
	c := &report.Check{Name: name, OK: err == nil, Detail: "yes"}
	if err != nil {
		c.Detail = err.Error()
	}
	p.send(report.Line{Kind: report.Judge, Check: c})
}
