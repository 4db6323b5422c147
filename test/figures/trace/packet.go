// SPDX-License-Identifier: MIT

package trace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// captureMagics begin captures: pcap of micro- and nanoseconds in both orders of octets, and pcapng.
var captureMagics = [][]byte{
	{0xa1, 0xb2, 0xc3, 0xd4}, {0xd4, 0xc3, 0xb2, 0xa1}, {0xa1, 0xb2, 0x3c, 0x4d}, {0x4d, 0x3c, 0xb2, 0xa1}, {0x0a, 0x0d, 0x0d, 0x0a},
}

// A capture is what both kinds of files are read with.
type capture interface {
	ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	LinkType() layers.LinkType
}

// frames reads the packets of a capture.
type frames struct {
	skips
	in     capture
	number uint64 // of packets read
}

func newFrames(in *bufio.Reader) (*frames, error) {
	head, err := in.Peek(4)
	if err != nil {
		return nil, errors.New("the file is shorter than a header")
	}
	f := &frames{skips: make(skips)}
	if bytes.Equal(head, captureMagics[len(captureMagics)-1]) {
		f.in, err = pcapgo.NewNgReader(in, pcapgo.DefaultNgReaderOptions)
	} else {
		f.in, err = pcapgo.NewReader(in)
	}
	return f, err
}

// next returns the next packet that is IP, with the layers behind that not yet decoded.
func (f *frames) next() (gopacket.Packet, error) {
	for {
		b, info, err := f.in.ReadPacketData()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, io.EOF
		}
		if f.number++; err != nil {
			return nil, fmt.Errorf("packet %d: %w", f.number, cutOff(err))
		}
		p := gopacket.NewPacket(b, f.in.LinkType(), gopacket.DecodeOptions{Lazy: true, NoCopy: true})
		p.Metadata().CaptureInfo = info
		if p.NetworkLayer() == nil {
			f.skips["packets that are not IP"]++
			continue
		}
		return p, nil
	}
}

// packets gives each packet of a capture as a record.
type packets struct{ *frames }

func newPackets(in *bufio.Reader) (*packets, error) {
	f, err := newFrames(in)
	return &packets{f}, err
}

func (p *packets) Next() (Record, error) {
	for {
		packet, err := p.next()
		if err != nil {
			return Record{}, err
		}
		flow := packet.NetworkLayer().NetworkFlow()
		src, okSrc := netip.AddrFromSlice(flow.Src().Raw())
		dst, okDst := netip.AddrFromSlice(flow.Dst().Raw())
		at := packet.Metadata().Timestamp
		r := Record{Src: src, Dst: dst, Start: at, End: at, Packets: 1, Bytes: length(packet)}
		if !okSrc || !okDst || r.check() != nil {
			p.skips["packets that make no sense"]++
			continue
		}
		return r, nil
	}
}

// length is that of the IP packet, which a capture may have cut.
func length(p gopacket.Packet) uint64 {
	switch ip := p.NetworkLayer().(type) {
	case *layers.IPv4:
		return uint64(ip.Length)
	case *layers.IPv6:
		return uint64(ip.Length) + 40
	}
	return uint64(p.Metadata().Length)
}

// Ports that collectors listen at by custom, and by assignment for IPFIX.
var collectorPorts = map[layers.UDPPort]bool{2055: true, 9555: true, 9995: true, 9996: true, 4739: true}

// export decodes the messages in a capture.
type export struct {
	*decoder
	frames *frames
}

func newExport(in *bufio.Reader) (*export, error) {
	f, err := newFrames(in)
	d := newDecoder()
	if err == nil {
		f.skips = d.skips
	}
	return &export{d, f}, err
}

func (e *export) Next() (Record, error) {
	for len(e.queue) == 0 {
		packet, err := e.frames.next()
		if err != nil {
			return Record{}, err
		}
		udp, ok := packet.TransportLayer().(*layers.UDP)
		if !ok || !collectorPorts[udp.DstPort] {
			e.decoder.skips["packets to no collector"]++
			continue
		}
		if err := e.decode(udp.Payload); err != nil {
			return Record{}, fmt.Errorf("packet %d: %w", e.frames.number, err)
		}
	}
	return e.pop(), nil
}
