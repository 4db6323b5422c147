// SPDX-License-Identifier: MIT

package flow

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

var (
	a1 = netip.MustParseAddr("2001:db8:a1::a")
	a2 = netip.MustParseAddr("2001:db8:a2::a")
	b1 = netip.MustParseAddr("2001:db8:b1::b")
	t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

const port = 5201

// first is the sequence number of the first octet, chosen so that the numbers wrap.
var first uint32 = 0xfffffff1

// segment describes one packet from the port: at a time in milliseconds, to some port of b, with a tag or none.
type segment struct {
	ms    int
	src   netip.Addr
	dport uint16
	tag   uint64
	syn   bool
	seq   uint32
	data  int
}

// frame writes the packet as it is on the wire, cut off behind the TCP header as the captures are.
func (s segment) frame() (whole int, captured []byte) {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, port)
	binary.BigEndian.PutUint16(tcp[2:], s.dport)
	binary.BigEndian.PutUint32(tcp[4:], s.seq)
	tcp[12] = 5 << 4
	if s.syn {
		tcp[13] = 0x02
	}
	next, payload := byte(6), tcp
	if s.tag != 0 {
		// RFC 5533 section 5.1: next header, length 0, P bit and tag.
		shim := binary.BigEndian.AppendUint64(nil, s.tag)
		shim[0], shim[2] = 6, shim[2]|0x80
		next, payload = 140, append(shim, tcp...)
	}
	ip := make([]byte, 40)
	ip[0], ip[6], ip[7] = 6<<4, next, 64
	binary.BigEndian.PutUint16(ip[4:], uint16(len(payload)+s.data))
	src, dst := s.src.As16(), b1.As16()
	copy(ip[8:], src[:])
	copy(ip[24:], dst[:])
	f := append(make([]byte, 12), 0x86, 0xdd)
	f = append(append(f, ip...), payload...)
	return len(f) + s.data, f
}

func capture(t *testing.T, segments ...segment) *Capture {
	t.Helper()
	var file bytes.Buffer
	w := pcapgo.NewWriterNanos(&file)
	if err := w.WriteFileHeader(2048, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for _, s := range segments {
		whole, f := s.frame()
		at := t0.Add(time.Duration(s.ms) * time.Millisecond)
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(f), Length: whole}, f); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func at(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }

// A failure at 100 ms: one segment is still under way, one is lost, the stream goes on at 3150 ms over the other provider.
func failover() []segment {
	return []segment{
		{ms: 0, src: a1, dport: 40000, syn: true, seq: first - 1},
		{ms: 0, src: a1, dport: 40001, syn: true, seq: 7},
		{ms: 10, src: a1, dport: 40000, seq: first, data: 1000},
		{ms: 11, src: a1, dport: 40001, seq: 8, data: 37},
		{ms: 105, src: a1, dport: 40000, seq: first + 1000, data: 1000},
		{ms: 3100, src: a2, dport: 40000, tag: 0x123456789abc, seq: first + 3000, data: 1000},
		{ms: 3150, src: a2, dport: 40000, tag: 0x123456789abc, seq: first + 2000, data: 1000},
		{ms: 3160, src: a2, dport: 40000, tag: 0x123456789abc, seq: first + 3000, data: 1000},
	}
}

func TestGapOfAFailover(t *testing.T) {
	f, err := capture(t, failover()...).Largest(port)
	if err != nil {
		t.Fatal(err)
	}
	// What arrives ahead of a hole is no progress: the application gets it at 3150 ms.
	want := []Step{{at(10), 1000}, {at(105), 2000}, {at(3150), 4000}}
	if diff := cmp.Diff(want, f.Steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[uint64]int{0: 2, 0x123456789abc: 3}, f.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	before, after, ok := f.Gap(at(100), 4000)
	if !ok || after.Time.Sub(before.Time) != 3045*time.Millisecond {
		t.Errorf("gap = %v, %v, want 3045ms", after.Time.Sub(before.Time), ok)
	}
}

// A segment that was under way when the router failed is no recovery.
func TestNoGapWhenTheStreamNeverGoesOn(t *testing.T) {
	f, err := capture(t, failover()[:5]...).Largest(port)
	if err != nil {
		t.Fatal(err)
	}
	before, _, ok := f.Gap(at(100), 4000)
	if ok || !before.Time.Equal(at(105)) {
		t.Errorf("gap from %v, %v, want none after %v", before.Time, ok, at(105))
	}
}

func TestRate(t *testing.T) {
	f, err := capture(t, failover()...).Largest(port)
	if err != nil {
		t.Fatal(err)
	}
	got := f.Rate(at(0), at(300), 100*time.Millisecond)
	if diff := cmp.Diff([]int64{1000, 1000, 0, 0}, got); diff != "" {
		t.Errorf("rate (-want +got):\n%s", diff)
	}
}

func TestLargestWithoutAConnection(t *testing.T) {
	if _, err := capture(t).Largest(port); err == nil {
		t.Error("a flow was found in an empty capture")
	}
}

func TestLongest(t *testing.T) {
	f, err := capture(t, failover()...).Largest(port)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		from, to int
		want     time.Duration
		ok       bool
	}{
		{0, 50, 0, true},
		{0, 200, 95 * time.Millisecond, true},
		{106, 3000, 0, false}, // nothing came
		{3000, 4000, 3045 * time.Millisecond, true},
	} {
		if got, ok := f.Longest(at(tc.from), at(tc.to)); got != tc.want || ok != tc.ok {
			t.Errorf("from %d to %d ms: %v, %v; want %v, %v", tc.from, tc.to, got, ok, tc.want, tc.ok)
		}
	}
}
