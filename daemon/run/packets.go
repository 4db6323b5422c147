// SPDX-License-Identifier: MIT

package run

import (
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
)

// readPackets hands what the raw socket receives to the loop. While the loop is busy packets wait in the socket's buffer,
// where the kernel drops what is too much.
func (l *Loop) readPackets() {
	buf := make([]byte, packetSize)
	failed := 0
	for {
		n, src, dst, hopLimit, err := l.ports.Socket.ReadFrom(buf)
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
			continue
		}
		l.stats.packetsReceived.Add(1)
		p := engine.PacketIn{Src: src, Dst: dst, HopLimit: hopLimit, Payload: append([]byte(nil), buf[:n]...)}
		select {
		case l.packets <- p:
		case <-l.stopped:
			return
		}
	}
}
