// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/mdlayher/netlink"

	"shim6/test/lab/genl"
	"shim6/test/lab/node"
)

// arrivals are the tracepoints at which a device hands on what it got.
var arrivals = []string{"net/netif_rx_entry", "net/netif_receive_skb_entry", "net/napi_gro_receive_entry"}

// What a packet's sender or device has done about its checksum, enum of ip_summed.
const (
	sumNone = iota
	sumUnnecessary
	sumComplete
	sumPartial
)

// arrived are the packets with data that a device got, by size with all headers.
type arrived struct {
	packets, octets, largest int
	sums                     [4]int
}

const (
	segment = 1600 // octets: more are more than one segment
	large   = 8000
)

func (s arrived) cut() bool   { return s.packets > 0 && s.largest < segment }
func (s arrived) whole() bool { return s.packets > 0 && s.octets/s.packets > large }

func (s arrived) only(sum int) bool { return s.packets > 0 && s.sums[sum] == s.packets }

func (s arrived) String() string {
	return fmt.Sprintf("%d packets of up to %d octets, %d on average, checksums none %d unnecessary %d complete %d partial %d",
		s.packets, s.largest, s.octets/max(1, s.packets), s.sums[0], s.sums[1], s.sums[2], s.sums[3])
}

// arrivedAt reads from the trace what a device got.
func (o *offloader) arrivedAt(device string) (s arrived, err error) {
	text, err := o.trace.text()
	if err != nil {
		return s, err
	}
	const acknowledgement = 200
	for line := range strings.SplitSeq(text, "\n") {
		if !strings.Contains(line, "dev="+device+" ") || !strings.Contains(line, "protocol=0x86dd") {
			continue
		}
		size, err1 := field(line, "len")
		sum, err2 := field(line, "ip_summed")
		if err := errors.Join(err1, err2); err != nil {
			return s, err
		}
		if size < acknowledgement || sum >= len(s.sums) {
			continue
		}
		s.packets++
		s.octets += size
		s.largest = max(s.largest, size)
		s.sums[sum]++
	}
	return s, nil
}

func field(line, name string) (int, error) {
	_, rest, ok := strings.Cut(line, " "+name+"=")
	if !ok {
		return 0, fmt.Errorf("no %s in trace: %s", name, line)
	}
	value, _, _ := strings.Cut(rest, " ")
	return strconv.Atoi(value)
}

// snmp reads a counter of the stack, of /proc/net/snmp6 or, of TCP, of /proc/net/snmp.
func snmp(n *node.Node, name string) (value int64, err error) {
	file, tcp := "snmp6", strings.HasPrefix(name, "Tcp")
	if tcp {
		file = "snmp"
	}
	var raw []byte
	err = n.Do(func() (err error) {
		raw, err = os.ReadFile("/proc/thread-self/net/" + file)
		return err
	})
	if err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.SplitSeq(string(raw), "\n") {
		fields := strings.Fields(line)
		switch {
		case !tcp && len(fields) == 2 && fields[0] == name:
			return strconv.ParseInt(fields[1], 10, 64)
		case tcp && len(fields) > 0 && fields[0] == "Tcp:" && names == nil:
			names = fields
		case tcp && len(fields) > 0 && fields[0] == "Tcp:":
			for i, f := range names {
				if "Tcp"+f == name {
					return strconv.ParseInt(fields[i], 10, 64)
				}
			}
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, name)
}

// wantDevice checks what the module of host a says of a device.
func (o *offloader) wantDevice(what, device string, mode, why uint8) {
	gotMode, gotWhy, err := readDevice(o.a, device)
	o.e.Check(what, err == nil && gotMode == mode && gotWhy == why, "mode %d for reason %d %s", gotMode, gotWhy, errText(err))
}

func readDevice(conn *genl.Conn, device string) (mode, why uint8, err error) {
	list, err := conn.Dump(genl.DevGet)
	if err != nil {
		return 0, 0, err
	}
	for _, m := range list {
		ad, err := netlink.NewAttributeDecoder(m.Data)
		if err != nil {
			return 0, 0, err
		}
		var name string
		for ad.Next() {
			ad.Nested(func(d *netlink.AttributeDecoder) error {
				for d.Next() {
					switch d.Type() {
					case genl.DevName:
						name = d.String()
					case genl.DevGSOMode:
						mode = d.Uint8()
					case genl.DevGSOWhy:
						why = d.Uint8()
					}
				}
				return nil
			})
		}
		if ad.Err() != nil {
			return 0, 0, ad.Err()
		}
		if name == device {
			return mode, why, nil
		}
	}
	return 0, 0, fmt.Errorf("DEV_GET has no %s", device)
}
