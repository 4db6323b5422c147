// SPDX-License-Identifier: MIT

package trace

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"
)

// Sizes of headers (Cisco's NetFlow v5 format, RFC 3954 section 5, RFC 7011 section 3).
const (
	v5Header, v5Record = 24, 48
	v9Header           = 20
	ipfixHeader        = 16
	setHeader          = 4
	firstDataSet       = 256
)

// A decoder turns messages into records.
type decoder struct {
	skips
	templates *templates
	queue     []Record
}

func newDecoder() *decoder {
	return &decoder{skips: make(skips), templates: &templates{NetFlowTemplateSystem: netflow.CreateTemplateSystem(), seen: make(map[templateID]bool)}}
}

// messages reads messages that lie one behind the other.
type messages struct {
	*decoder
	in     *bufio.Reader
	offset int64 // of the next message
}

func newMessages(in *bufio.Reader) *messages { return &messages{decoder: newDecoder(), in: in} }

func (m *messages) Next() (Record, error) {
	for len(m.queue) == 0 {
		at := m.offset
		b, err := m.message()
		if errors.Is(err, io.EOF) {
			return Record{}, io.EOF
		}
		if err == nil {
			err = m.decode(b)
		}
		if err != nil {
			return Record{}, fmt.Errorf("message at octet %d: %w", at, err)
		}
	}
	return m.pop(), nil
}

func (d *decoder) pop() Record {
	r := d.queue[0]
	d.queue = d.queue[1:]
	return r
}

// message reads the next message, as its version says how long it is.
func (m *messages) message() ([]byte, error) {
	head, err := m.in.Peek(setHeader)
	if len(head) == 0 {
		return nil, err
	}
	if err != nil {
		return nil, cutOff(err)
	}
	switch version, n := binary.BigEndian.Uint16(head), int(binary.BigEndian.Uint16(head[2:])); version {
	case 5:
		return m.take(nil, v5Header+n*v5Record)
	case 9:
		return m.version9()
	case 10:
		if n < ipfixHeader {
			return nil, fmt.Errorf("IPFIX message of %d octets, less than its header", n)
		}
		return m.take(nil, n)
	default:
		return nil, fmt.Errorf("version %d is none of 5, 9 and 10", version)
	}
}

// version9 reads a message of NetFlow v9, which has no length: FlowSets follow until the file ends or the next two octets are the
// version of another message, which no FlowSet ID can be (RFC 3954 section 5.2: 2 to 255 are reserved).
func (m *messages) version9() ([]byte, error) {
	b, err := m.take(nil, v9Header)
	for err == nil {
		var head []byte
		if head, err = m.in.Peek(setHeader); len(head) == 0 && errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return nil, cutOff(err)
		}
		id, n := binary.BigEndian.Uint16(head), int(binary.BigEndian.Uint16(head[2:]))
		switch {
		case id == 5 || id == 9 || id == 10:
			return b, nil
		case n < setHeader:
			return nil, fmt.Errorf("FlowSet %d of %d octets, less than its header", id, n)
		case len(b)+n > 1<<20:
			return nil, errors.New("a NetFlow v9 message of more than a megabyte")
		}
		b, err = m.take(b, n)
	}
	return nil, err
}

// take appends the next n octets of the file.
func (m *messages) take(b []byte, n int) ([]byte, error) {
	from := len(b)
	b = append(b, make([]byte, n)...)
	got, err := io.ReadFull(m.in, b[from:])
	m.offset += int64(got)
	if err != nil {
		return nil, cutOff(err)
	}
	return b, nil
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file ends in the middle of it")
	}
	return err
}

// decode adds the records of a message to the queue.
func (d *decoder) decode(b []byte) error {
	if len(b) < setHeader {
		return fmt.Errorf("%d octets", len(b))
	}
	switch version := binary.BigEndian.Uint16(b); version {
	case 5:
		return d.version5(b)
	case 9:
		return d.sets(b, version, v9Header)
	case 10:
		return d.sets(b, version, ipfixHeader)
	default:
		return fmt.Errorf("version %d is none of 5, 9 and 10", version)
	}
}

func (d *decoder) version5(b []byte) error {
	if n := int(binary.BigEndian.Uint16(b[2:])); len(b) < v5Header+n*v5Record {
		return fmt.Errorf("NetFlow v5 message of %d octets for %d records", len(b), n)
	}
	var p netflowlegacy.PacketNetFlowV5
	if err := netflowlegacy.DecodeMessageVersion(bytes.NewBuffer(b), &p); err != nil {
		return err
	}
	c := clock{at: time.Unix(int64(p.UnixSecs), int64(p.UnixNSecs)), uptime: p.SysUptime}
	for _, r := range p.Records {
		d.add(Record{
			Src: v4(uint32(r.SrcAddr)), Dst: v4(uint32(r.DstAddr)), Start: c.time(r.First), End: c.time(r.Last),
			Packets: uint64(r.DPkts), Bytes: uint64(r.DOctets),
		})
	}
	return nil
}

// sets decodes a message of sets, whose data must not be decoded before the templates of earlier messages are known.
func (d *decoder) sets(b []byte, version uint16, header int) error {
	if len(b) < header {
		return fmt.Errorf("%d octets are less than its header", len(b))
	}
	c := clock{at: time.Unix(int64(binary.BigEndian.Uint32(b[4:])), 0)}
	if version == 9 {
		c = clock{at: time.Unix(int64(binary.BigEndian.Uint32(b[8:])), 0), uptime: binary.BigEndian.Uint32(b[4:])}
	}
	domain := binary.BigEndian.Uint32(b[header-4:])
	rest := bytes.NewBuffer(b[header:])
	for rest.Len() >= setHeader {
		left := rest.Bytes()
		n := int(binary.BigEndian.Uint16(left[2:]))
		if n < setHeader || n > rest.Len() {
			return fmt.Errorf("set %d of %d octets where %d are left", binary.BigEndian.Uint16(left), n, rest.Len())
		}
		set, err := netflow.DecodeMessageCommonFlowSet(bytes.NewBuffer(rest.Next(n)), d.templates, domain, version)
		switch {
		case errors.Is(err, netflow.ErrorTemplateNotFound):
			d.skips["data before its template"]++
		case err != nil:
			return err
		}
		if data, ok := set.(netflow.DataFlowSet); ok && err == nil {
			for _, r := range data.Records {
				d.add(record(r.Values, c))
			}
		}
	}
	return nil
}

// add queues a record, if it is one.
func (d *decoder) add(r Record) {
	if err := r.check(); err != nil {
		d.skips["records that make no sense"]++
		return
	}
	d.queue = append(d.queue, r)
}

// A clock knows when the exporter had which uptime.
type clock struct {
	at     time.Time
	uptime uint32 // milliseconds
}

// time gives the time of an uptime, which may have wrapped since.
func (c clock) time(uptime uint32) time.Time {
	return c.at.Add(-time.Duration(int32(c.uptime-uptime)) * time.Millisecond)
}

func v4(a uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, a)))
}

// record reads the fields of a data record. NetFlow v9 and IPFIX number those that are used here alike.
func record(fields []netflow.DataField, c clock) Record {
	var r Record
	for _, f := range fields {
		b, ok := f.Value.([]byte)
		if !ok || f.PenProvided {
			continue
		}
		switch n := number(b); f.Type {
		case netflow.IPFIX_FIELD_octetDeltaCount:
			r.Bytes = n
		case netflow.IPFIX_FIELD_packetDeltaCount:
			r.Packets = n
		case netflow.IPFIX_FIELD_sourceIPv4Address, netflow.IPFIX_FIELD_sourceIPv6Address:
			r.Src = address(b, r.Src)
		case netflow.IPFIX_FIELD_destinationIPv4Address, netflow.IPFIX_FIELD_destinationIPv6Address:
			r.Dst = address(b, r.Dst)
		case netflow.IPFIX_FIELD_flowStartSysUpTime:
			r.Start = c.time(uint32(n))
		case netflow.IPFIX_FIELD_flowEndSysUpTime:
			r.End = c.time(uint32(n))
		case netflow.IPFIX_FIELD_flowStartSeconds:
			r.Start = time.Unix(int64(n), 0)
		case netflow.IPFIX_FIELD_flowEndSeconds:
			r.End = time.Unix(int64(n), 0)
		case netflow.IPFIX_FIELD_flowStartMilliseconds:
			r.Start = time.UnixMilli(int64(n))
		case netflow.IPFIX_FIELD_flowEndMilliseconds:
			r.End = time.UnixMilli(int64(n))
		case netflow.IPFIX_FIELD_flowStartMicroseconds, netflow.IPFIX_FIELD_flowStartNanoseconds:
			r.Start = ntp(n)
		case netflow.IPFIX_FIELD_flowEndMicroseconds, netflow.IPFIX_FIELD_flowEndNanoseconds:
			r.End = ntp(n)
		}
	}
	return r
}

// number reads an integer in reduced length (RFC 7011 section 6.2).
func number(b []byte) uint64 {
	if len(b) > 8 {
		return 0
	}
	var n uint64
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return n
}

// address reads an address. A record may have both an IPv4 and an IPv6 one, of which one is zero.
func address(b []byte, old netip.Addr) netip.Addr {
	a, ok := netip.AddrFromSlice(b)
	if !ok || a.IsUnspecified() && old.IsValid() {
		return old
	}
	return a
}

// ntp reads a timestamp with seconds since 1900 in its upper half (RFC 7011 section 6.1.9).
func ntp(n uint64) time.Time {
	const since1900 = 2208988800
	return time.Unix(int64(n>>32)-since1900, int64(n&(1<<32-1)*1e9>>32))
}

type templateID struct {
	version uint16
	domain  uint32
	id      uint16
}

// templates refuses what would make the decoder loop for ever, or remember without an end.
type templates struct {
	netflow.NetFlowTemplateSystem
	seen map[templateID]bool
}

const maxTemplates = 4096

func (t *templates) AddTemplate(version uint16, domain uint32, id uint16, template any) error {
	var fields []netflow.Field
	switch r := template.(type) {
	case netflow.TemplateRecord:
		fields = r.Fields
	case netflow.NFv9OptionsTemplateRecord:
		fields = append(r.Scopes, r.Options...)
	case netflow.IPFIXOptionsTemplateRecord:
		fields = append(r.Scopes, r.Options...)
	}
	key := templateID{version, domain, id}
	if len(fields) == 0 && version == 10 {
		// RFC 7011 section 8.1: a template without fields withdraws an earlier one.
		delete(t.seen, key)
		_, _ = t.RemoveTemplate(version, domain, id)
		return nil
	}
	size := 0
	for _, f := range fields {
		if f.Length == 0xffff {
			size++
			continue
		}
		size += int(f.Length)
	}
	if size == 0 {
		return fmt.Errorf("template %d describes records of no octets", id)
	}
	if id < firstDataSet {
		return fmt.Errorf("template %d: data sets have numbers from %d on", id, firstDataSet)
	}
	if t.seen[key] = true; len(t.seen) > maxTemplates {
		return fmt.Errorf("more than %d templates", maxTemplates)
	}
	return t.NetFlowTemplateSystem.AddTemplate(version, domain, id, template)
}
