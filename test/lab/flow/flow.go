// SPDX-License-Identifier: MIT

package flow

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
)

// A Step is a moment at which the receiver got the next octets of the stream.
type Step struct {
	Time time.Time
	// Octets is the length of the stream without a hole, this step included.
	Octets int64
}

// A Flow is one direction of a TCP connection, seen at the receiver.
type Flow struct {
	Steps []Step
	// Tags counts the data packets by context tag; tag 0 counts those without a Payload Extension Header.
	Tags map[uint64]int
}

// A Capture is what a pcap file tells.
type Capture struct {
	Packets []Packet
}

// Read reads a pcap file of Ethernet frames.
func Read(r io.Reader) (*Capture, error) {
	in, err := pcapgo.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	c := new(Capture)
	for {
		frame, info, err := in.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return nil, fmt.Errorf("capture, packet %d: %w", len(c.Packets)+1, err)
		}
		if p, ok := parse(frame); ok {
			p.Time = info.Timestamp
			c.Packets = append(c.Packets, p)
		}
	}
}

// ICMPErrors returns the ICMPv6 errors in the capture, in a time span.
func (c *Capture) ICMPErrors(from, to time.Time) []Packet {
	var found []Packet
	for _, p := range c.Packets {
		if p.ICMPError != 0 && !p.Time.Before(from) && p.Time.Before(to) {
			found = append(found, p)
		}
	}
	return found
}

// ports tell one direction of a connection from others; addresses do not, because shim6 changes them on the wire.
type ports struct{ src, dst uint16 }

// stream puts the segments of one direction together.
type stream struct {
	Flow
	started bool
	first   uint32 // sequence number of the first octet
	next    int64  // offset of the first octet that is missing
	ahead   map[int64]int64
	octets  int64
}

// Largest returns the direction of a connection from a port that carried most data.
func (c *Capture) Largest(port uint16) (*Flow, error) {
	streams := map[ports]*stream{}
	for i := range c.Packets {
		p := &c.Packets[i]
		if !p.TCP || p.SrcPort != port {
			continue
		}
		key := ports{p.SrcPort, p.DstPort}
		s := streams[key]
		if s == nil {
			s = &stream{Flow: Flow{Tags: map[uint64]int{}}, ahead: map[int64]int64{}}
			streams[key] = s
		}
		s.add(p)
	}
	var best *stream
	for _, s := range streams {
		if best == nil || s.octets > best.octets {
			best = s
		}
	}
	if best == nil {
		return nil, fmt.Errorf("no connection from port %d in the capture", port)
	}
	return &best.Flow, nil
}

func (s *stream) add(p *Packet) {
	if p.SYN {
		s.first, s.started = p.Seq+1, true
		return
	}
	if !s.started || p.Data == 0 {
		return
	}
	s.Tags[p.Tag]++
	s.octets += int64(p.Data)
	// The offset nearest to what is expected: a stream may be longer than sequence numbers reach.
	from := s.next + int64(int32(p.Seq-s.first-uint32(s.next)))
	to := from + int64(p.Data)
	if to <= s.next {
		return
	}
	if from > s.next {
		s.ahead[from] = max(s.ahead[from], to)
		return
	}
	s.next = to
	s.close()
	s.Steps = append(s.Steps, Step{Time: p.Time, Octets: s.next})
}

// close moves over what came ahead of its turn.
func (s *stream) close() {
	for moved := true; moved; {
		moved = false
		for from, to := range s.ahead {
			if from > s.next {
				continue
			}
			delete(s.ahead, from)
			if to > s.next {
				s.next, moved = to, true
			}
		}
	}
}

// Gap returns the longest time without progress that lasts at or begins after the failure. Ok is false when the stream came
// to rest for good before it held want octets.
func (f *Flow) Gap(failure time.Time, want int64) (before, after Step, ok bool) {
	if len(f.Steps) == 0 {
		return Step{}, Step{}, false
	}
	if last := f.Steps[len(f.Steps)-1]; last.Octets < want {
		return last, Step{}, false
	}
	for i, next := range f.Steps[1:] {
		s := f.Steps[i]
		if next.Time.Before(failure) {
			continue
		}
		if !ok || next.Time.Sub(s.Time) > after.Time.Sub(before.Time) {
			before, after, ok = s, next, true
		}
	}
	return before, after, ok
}

// Longest returns the longest time without progress that ends in a span of time. Ok is false when there was no progress in
// the span.
func (f *Flow) Longest(from, to time.Time) (gap time.Duration, ok bool) {
	for i, next := range f.Steps {
		if next.Time.Before(from) || next.Time.After(to) {
			continue
		}
		ok = true
		if i > 0 {
			gap = max(gap, next.Time.Sub(f.Steps[i-1].Time))
		}
	}
	return gap, ok
}

// Rate returns the octets that arrived in each interval from start to end.
func (f *Flow) Rate(start, end time.Time, interval time.Duration) []int64 {
	if !end.After(start) {
		return nil
	}
	bins := make([]int64, int(end.Sub(start)/interval)+1)
	var before int64
	for _, s := range f.Steps {
		if at := s.Time.Sub(start); at >= 0 && s.Time.Before(end) {
			bins[at/interval] += s.Octets - before
		}
		before = s.Octets
	}
	return bins
}
