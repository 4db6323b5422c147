// SPDX-License-Identifier: MIT

package run

import (
	"bytes"
	"errors"
	"net"
	"time"

	"shim6/daemon/engine"
)

const (
	// packetSize is the largest header that Shim6 can express.
	packetSize = 2048
	// readErrors in a row end the daemon.
	readErrors = 10
	// icmpSize is the largest ICMPv6 error (RFC 4443 section 2.4).
	icmpSize = 1280
	// icmpPerSecond bounds how many ICMPv6 errors are looked at: anybody can send them.
	icmpPerSecond = 100
)

// readPackets hands what the raw socket receives to the loop. While the loop is busy packets wait in the socket's buffer,
// where the kernel drops what is too much.
func (l *Loop) readPackets() {
	buf := make([]byte, packetSize)
	l.read(func() error {
		n, src, dst, hopLimit, err := l.ports.Socket.ReadFrom(buf)
		if err != nil {
			return err
		}
		l.stats.packetsReceived.Add(1)
		select {
		case l.packets <- engine.PacketIn{Src: src, Dst: dst, HopLimit: hopLimit, Payload: bytes.Clone(buf[:n])}:
		case <-l.stopped:
		}
		return nil
	})
}

// readICMP hands ICMPv6 errors to the loop.
func (l *Loop) readICMP() {
	buf := make([]byte, icmpSize)
	l.read(func() error {
		e, err := l.ports.Errors.Read(buf)
		if err != nil {
			return err
		}
		select {
		case l.icmp <- engine.ICMPError{Src: e.Src, Type: e.Type, Code: e.Code, Quoted: bytes.Clone(e.Quoted)}:
		case <-l.stopped:
		}
		return nil
	})
}

// read reads until the socket is closed or fails too often.
func (l *Loop) read(once func() error) {
	failed := 0
	for {
		select {
		case <-l.stopped:
			return
		default:
		}
		err := once()
		switch {
		case err == nil:
			failed = 0
		case errors.Is(err, net.ErrClosed) || failed == readErrors:
			l.fail(err)
			return
		default:
			failed++
			l.log.Warn("packet not received", "error", err)
			time.Sleep(time.Duration(failed) * 10 * time.Millisecond)
		}
	}
}

// onICMP gives the engine an ICMPv6 error, unless there are too many.
func (l *Loop) onICMP(e engine.ICMPError) {
	l.stats.icmpErrors.Add(1)
	if l.icmpLimit.allow(l.now, icmpPerSecond) {
		l.handle(e)
	}
}
