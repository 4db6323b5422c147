// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"shim6/daemon/engine"
)

// sendQueue is how many packets may wait while the raw socket takes none: a device that is stuck, a neighbour that does
// not answer.
const sendQueue = 512

// errorsPerSecond bounds how many packets that could not be sent are logged.
const errorsPerSecond = 5

// A sender writes packets in a goroutine of its own, in order.
type sender struct {
	socket Socket
	log    *slog.Logger
	stats  *counters
	queue  chan outgoing
	done   chan struct{}
	errors limiter
}

// An outgoing packet carries the time of the event that made it, for the limit of the log.
type outgoing struct {
	at time.Time
	engine.SendPacket
}

func newSender(s Socket, log *slog.Logger, stats *counters) *sender {
	x := &sender{socket: s, log: log, stats: stats, queue: make(chan outgoing, sendQueue), done: make(chan struct{})}
	go x.run()
	return x
}

// send queues a packet; one that does not fit is lost, as in any queue on its way.
func (x *sender) send(now time.Time, p engine.SendPacket) {
	select {
	case x.queue <- outgoing{now, p}:
	default:
		x.stats.packetsNotQueued.Add(1)
	}
}

// close waits until what is queued is sent or, with a closed socket, refused.
func (x *sender) close() {
	close(x.queue)
	<-x.done
}

func (x *sender) run() {
	defer close(x.done)
	for p := range x.queue {
		err := x.socket.WriteTo(p.Payload, p.Src, p.Dst)
		if err == nil {
			x.stats.packetsSent.Add(1)
			continue
		}
		x.stats.packetsNotSent.Add(1)
		if x.errors.allow(p.at, errorsPerSecond) {
			x.log.Log(context.Background(), sendErrorLevel(err), "packet not sent", "src", p.Src, "dst", p.Dst, "error", err)
		}
	}
}

// sendErrorLevel is low for what a failing path is expected to bring.
func sendErrorLevel(err error) slog.Level {
	for _, e := range []error{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EADDRNOTAVAIL, unix.ENETDOWN} {
		if errors.Is(err, e) {
			return slog.LevelInfo
		}
	}
	return slog.LevelWarn
}
