// SPDX-License-Identifier: MIT

package trace

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

var (
	exported = time.Unix(1217548800, 0) // 1 August 2008
	want     = []Record{
		{
			Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("198.51.100.7"), Start: exported.Add(-9 * time.Second),
			End: exported.Add(-2500 * time.Millisecond), Packets: 12, Bytes: 3456,
		},
		{
			Src: netip.MustParseAddr("198.51.100.7"), Dst: netip.MustParseAddr("192.0.2.1"), Start: exported.Add(-time.Second),
			End: exported.Add(-time.Second), Packets: 1, Bytes: 40,
		},
	}
)

const uptime = 5000 // milliseconds at the export: the first record's start is before the uptime wrapped

func be16(b []byte, v ...int) []byte {
	for _, x := range v {
		b = binary.BigEndian.AppendUint16(b, uint16(x))
	}
	return b
}

func be32(b []byte, v ...uint32) []byte {
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

func sysUptime(t time.Time) uint32 { return uint32(int64(uptime) + t.Sub(exported).Milliseconds()) }

// netflow5 writes a message of NetFlow v5.
func netflow5(records []Record) []byte {
	b := be32(be16(nil, 5, len(records)), uptime, uint32(exported.Unix()), 0, 1, 0)
	for _, r := range records {
		src, dst := r.Src.As4(), r.Dst.As4()
		b = append(append(b, src[:]...), dst[:]...)
		b = be32(b, 0, 0, uint32(r.Packets), uint32(r.Bytes), sysUptime(r.Start), sysUptime(r.End))
		b = append(b, make([]byte, 16)...)
	}
	return b
}

// netflow9 writes a message with a template and one with data. The data come first when the template is to be late.
func netflow9(records []Record, late bool) []byte {
	header := func() []byte { return be32(be16(nil, 9, 1), uptime, uint32(exported.Unix()), 1, 77) }
	fields := [][2]int{{8, 4}, {12, 4}, {2, 4}, {1, 4}, {22, 4}, {21, 4}, {4, 1}}
	template := be16(nil, 256, len(fields))
	for _, f := range fields {
		template = be16(template, f[0], f[1])
	}
	first := append(be16(header(), 0, 4+len(template)), template...)
	var data []byte
	for _, r := range records {
		src, dst := r.Src.As4(), r.Dst.As4()
		data = append(append(data, src[:]...), dst[:]...)
		data = append(be32(data, uint32(r.Packets), uint32(r.Bytes), sysUptime(r.Start), sysUptime(r.End)), 6)
	}
	data = append(data, make([]byte, 2)...) // padding
	second := append(be16(header(), 256, 4+len(data)), data...)
	if late {
		return append(second, first...)
	}
	return append(first, second...)
}

// ipfix writes one message with a template that has IPv6 addresses, a field of an enterprise and one of variable length.
func ipfix(records []Record) []byte {
	template := be16(nil, 300, 8, 27, 16, 28, 16, 2, 8, 1, 8, 152, 8, 153, 8, 0x8000|7, 2)
	template = be32(template, 4711)
	template = be16(template, 82, 0xffff)
	var data []byte
	for _, r := range records {
		src, dst := r.Src.As16(), r.Dst.As16()
		data = append(append(data, src[:]...), dst[:]...)
		for _, n := range []uint64{r.Packets, r.Bytes, uint64(r.Start.UnixMilli()), uint64(r.End.UnixMilli())} {
			data = binary.BigEndian.AppendUint64(data, n)
		}
		data = append(data, 1, 2, 3, 'e', 't', 'h')
	}
	body := append(be16(nil, 2, 4+len(template)), template...)
	body = append(append(body, be16(nil, 300, 4+len(data))...), data...)
	return append(be32(be16(nil, 10, 16+len(body)), uint32(exported.Unix()), 1, 5), body...)
}

func nfdump16(records []Record) []byte {
	b := []byte("ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt\n")
	for _, r := range records {
		b = fmt.Appendf(b, "%s,%s,0.000,%v,%v,80,1234,TCP,....,0,0,%d,%d,0,0\n", r.Start.UTC().Format("2006-01-02 15:04:05.000"),
			r.End.UTC().Format("2006-01-02 15:04:05.000"), r.Src, r.Dst, r.Packets, r.Bytes)
	}
	return append(b, "Summary\nflows,bytes,packets,avg_bps,avg_pps,avg_bpp\n2,3496,13,1,1,1\n"...)
}

func nfdump17(records []Record) []byte {
	b := []byte("firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,bpp,flows\n")
	for _, r := range records {
		b = fmt.Appendf(b, "%s,%.3f,TCP,%v,80,%v,1234,%d,%d,0,1\n", r.Start.UTC().Format("2006-01-02 15:04:05.000"),
			r.End.Sub(r.Start).Seconds(), r.Src, r.Dst, r.Packets, r.Bytes)
	}
	return b
}

// datagram is a UDP packet in an Ethernet frame.
func datagram(t *testing.T, src, dst netip.Addr, port int, payload []byte) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	udp := &layers.UDP{SrcPort: 999, DstPort: layers.UDPPort(port)}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}, ip, udp, gopacket.Payload(payload))
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pcap(t *testing.T, at time.Time, frames ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriterNanos(&b)
	if err := w.WriteFileHeader(65536, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(f), Length: len(f)}, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func pcapng(t *testing.T, at time.Time, frames ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(f), Length: len(f)}, f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// read reads a whole file.
func read(t *testing.T, content []byte, format string) ([]Record, *File, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path, format)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	var all []Record
	for {
		r, err := f.Next()
		if errors.Is(err, io.EOF) {
			return all, f, nil
		}
		if err != nil {
			return all, f, err
		}
		all = append(all, r)
	}
}

// The same records come out of every format.
func TestFormats(t *testing.T) {
	mapped := make([]Record, len(want)) // RFC 4291 section 2.5.5.2
	for i, r := range want {
		mapped[i] = r
		mapped[i].Src, mapped[i].Dst = netip.AddrFrom16(r.Src.As16()), netip.AddrFrom16(r.Dst.As16())
	}
	collector := netip.MustParseAddr("192.0.2.250")
	for name, tc := range map[string]struct {
		content []byte
		format  string
		found   string
		want    []Record
		skipped map[string]uint64
	}{
		"netflow 5":              {netflow5(want), Auto, NetFlow, want, nil},
		"netflow 9":              {netflow9(want, false), Auto, NetFlow, want, nil},
		"netflow 9, no template": {netflow9(want, true), Auto, NetFlow, nil, map[string]uint64{"data before its template": 1}},
		"ipfix":                  {ipfix(want), Auto, NetFlow, mapped, nil},
		"all three": {
			append(append(netflow9(want, false), netflow5(want)...), ipfix(want)...), Auto, NetFlow,
			append(append(append([]Record(nil), want...), want...), mapped...), nil,
		},
		"compressed":  {zipped(t, netflow5(want)), Auto, NetFlow, want, nil},
		"nfdump 1.6":  {nfdump16(want), Auto, CSV, want, nil},
		"nfdump 1.7":  {nfdump17(want), Auto, CSV, want, nil},
		"empty trace": {pcap(t, exported), Auto, PCAP, nil, nil},
		"exports": {
			pcap(t, exported, datagram(t, want[0].Src, collector, 2055, netflow5(want)), datagram(t, want[0].Src, collector, 53, []byte("no flow"))),
			Export, Export, want, map[string]uint64{"packets to no collector": 1},
		},
		"no records": {netflow5([]Record{{Src: want[0].Src, Dst: want[0].Dst, Start: exported, End: exported}}), Auto, NetFlow, nil,
			map[string]uint64{"records that make no sense": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			got, f, err := read(t, tc.content, tc.format)
			if err != nil {
				t.Fatal(err)
			}
			same := cmp.Comparer(func(a, b Record) bool {
				return a.Src == b.Src && a.Dst == b.Dst && a.Start.Equal(b.Start) && a.End.Equal(b.End) && a.Packets == b.Packets && a.Bytes == b.Bytes
			})
			if d := cmp.Diff(tc.want, got, same); d != "" {
				t.Errorf("records (-want +got):\n%s", d)
			}
			if f.Format != tc.found {
				t.Errorf("format %s, want %s", f.Format, tc.found)
			}
			if len(tc.skipped) != len(f.Skipped()) {
				t.Errorf("skipped %v, want %v", f.Skipped(), tc.skipped)
			}
			for why, n := range tc.skipped {
				if f.Skipped()[why] != n {
					t.Errorf("skipped %v, want %v", f.Skipped(), tc.skipped)
				}
			}
		})
	}
}

func TestPackets(t *testing.T) {
	a, b := want[0].Src, want[0].Dst
	arp := append(make([]byte, 12), 0x08, 0x06, 0, 1)
	frame := datagram(t, a, b, 7, []byte("four"))
	for name, content := range map[string][]byte{"pcap": pcap(t, exported, arp, frame), "pcapng": pcapng(t, exported, arp, frame)} {
		got, f, err := read(t, content, Auto)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(got) != 1 || got[0].Src != a || got[0].Dst != b || got[0].Packets != 1 || got[0].Bytes != 20+8+4 || !got[0].Start.Equal(exported) {
			t.Errorf("%s: %+v", name, got)
		}
		if f.Skipped()["packets that are not IP"] != 1 {
			t.Errorf("%s: skipped %v", name, f.Skipped())
		}
	}
}

// What is wrong is told with its place, and nothing crashes.
func TestMalformed(t *testing.T) {
	v5, v9, v10 := netflow5(want), netflow9(want, false), ipfix(want)
	edit := func(b []byte, at int, v ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], v)
		return b
	}
	for name, tc := range map[string]struct {
		content []byte
		format  string
		want    string
	}{
		"empty":                   {nil, Auto, "the file is empty"},
		"text":                    {[]byte("hello, world\n"), Auto, "unknown kind of file, it begins with 68 65 6c 6c"},
		"no such format":          {v5, "sflow", `there is no format "sflow"`},
		"netflow 5 cut":           {v5[:len(v5)-1], Auto, "message at octet 0: the file ends in the middle of it"},
		"second message cut":      {append(bytes.Clone(v5), v5[:7]...), Auto, "message at octet 120: the file ends in the middle of it"},
		"odd octet behind":        {append(bytes.Clone(v5), 0), Auto, "message at octet 120: the file ends"},
		"version 7":               {append(bytes.Clone(v5), 0, 7, 0, 0), Auto, "message at octet 120: version 7 is none of 5, 9 and 10"},
		"netflow 9 cut":           {v9[:len(v9)-3], Auto, "the file ends in the middle of it"},
		"FlowSet without length":  {edit(v9, 22, 0, 0), Auto, "message at octet 0: FlowSet 0 of 0 octets, less than its header"},
		"template of nothing":     {edit(edit(v9, 26, 0, 1), 22, 0, 12, 1, 0, 0, 1, 0, 8, 0, 0)[:32], Auto, "template 256 describes records of no octets"},
		"ipfix shorter than head": {edit(v10, 2, 0, 3), Auto, "IPFIX message of 3 octets, less than its header"},
		"ipfix set too long":      {edit(v10, 18, 0xff, 0xff), Auto, "set 2 of 65535 octets where"},
		"csv without columns":     {[]byte("ts,te,sa,ipkt,ibyt\n"), Auto, "the CSV has no column da or dstAddr"},
		"csv without an end":      {[]byte("ts,sa,da,ipkt,ibyt\n"), Auto, "neither an end nor a duration"},
		"csv time":                {bytes.Replace(nfdump16(want), []byte("2008-07-31"), []byte("2008-13-31"), 1), Auto, "line 2: time \"2008-13-31"},
		"csv address":             {bytes.Replace(nfdump16(want), []byte("198.51.100.7,192"), []byte("198.51.100.700,192"), 1), Auto, "line 3: source: "},
		"csv packets":             {bytes.Replace(nfdump16(want), []byte(",12,3456"), []byte(",-12,3456"), 1), Auto, "line 2: packets: "},
		"csv backwards":           {bytes.Replace(nfdump16(want), []byte("23:59:51.000"), []byte("23:59:58.000"), 1), Auto, "line 2: it ends at"},
		"csv quote":               {append(nfdump16(want[:1]), "\"a\n"...), CSV, ""},
		"csv duration":            {bytes.Replace(nfdump17(want), []byte(",6.500,"), []byte(",x,"), 1), Auto, "line 2: duration \"x\""},
		"pcap cut":                {pcap(t, exported, v5)[:60], Auto, "packet 1: the file ends in the middle of it"},
		"pcap header cut":         {pcap(t, exported)[:20], Auto, "EOF"},
		"export malformed":        {pcap(t, exported, datagram(t, want[0].Src, want[0].Dst, 4739, v10[:30])), Export, "packet 1: set 2 of"},
		"export version":          {pcap(t, exported, datagram(t, want[0].Src, want[0].Dst, 2055, []byte("abcd"))), Export, "packet 1: version 24930"},
		"export short":            {pcap(t, exported, datagram(t, want[0].Src, want[0].Dst, 2055, []byte{0, 9})), Export, "packet 1: 2 octets"},
		"gzip cut":                {zipped(t, v5)[:15], Auto, "the file ends in the middle of it"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := read(t, tc.content, tc.format)
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

// A file that names ever more templates must not fill the memory.
func TestTemplatesAreBounded(t *testing.T) {
	var b []byte
	for i := range maxTemplates + 1 {
		template := be16(nil, 256+i%1000, 1, 8, 4)
		b = append(b, append(be16(be32(be16(nil, 9, 1), 0, 0, 0, uint32(i/1000)), 0, 4+len(template)), template...)...)
	}
	if _, _, err := read(t, b, Auto); err == nil || !strings.Contains(err.Error(), "more than 4096 templates") {
		t.Errorf("error %v", err)
	}
}

// RFC 7011 section 8.1: "A Template Withdrawal is a Template Record for that Template ID with a Field Count of 0."
func TestWithdrawal(t *testing.T) {
	withdrawal := be16(nil, 2, 8, 300, 0)
	message := append(be32(be16(nil, 10, 16+len(withdrawal)), uint32(exported.Unix()), 1, 5), withdrawal...)
	whole := ipfix(want)
	data := whole[16+4+40:] // behind header and template
	again := append(be32(be16(nil, 10, 16+len(data)), uint32(exported.Unix()), 1, 5), data...)
	got, f, err := read(t, append(append(whole, message...), again...), Auto)
	if err != nil || len(got) != 2 || f.Skipped()["data before its template"] != 1 {
		t.Errorf("%d records, skipped %v, %v", len(got), f.Skipped(), err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(netflow5(want))
	f.Add(netflow9(want, false))
	f.Add(ipfix(want))
	f.Add(nfdump16(want))
	f.Fuzz(func(_ *testing.T, b []byte) {
		for _, format := range Formats() {
			r, _, err := open(bytes.NewReader(b), format)
			for err == nil {
				_, err = r.Next()
			}
		}
	})
}
