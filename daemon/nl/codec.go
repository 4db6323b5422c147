// SPDX-License-Identifier: MIT

package nl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
)

// A kind is the form of an attribute's value.
type kind uint8

const (
	kindNone kind = iota // skipped
	kindFlag
	kindU8
	kindU32
	kindU64
	kindAddr
	kindString
	kindNested
)

var kinds = [attrCount]kind{
	attrULIDLocal:           kindAddr,
	attrULIDPeer:            kindAddr,
	attrFII:                 kindU32,
	attrTagLocal:            kindU64,
	attrTagPeer:             kindU64,
	attrPaths:               kindNested,
	attrLocatorsLocal:       kindNested,
	attrSendTimeoutMS:       kindU32,
	attrKeepaliveTimeoutMS:  kindU32,
	attrKeepaliveIntervalMS: kindU32,
	attrReapState:           kindU8,
	attrReapEpoch:           kindU32,
	attrSendTimer:           kindU8,
	attrKeepaliveTimer:      kindU8,
	attrKeepaliveLast:       kindFlag,
	attrTxPackets:           kindU64,
	attrTxBytes:             kindU64,
	attrRxPackets:           kindU64,
	attrRxBytes:             kindU64,
	attrIdleMS:              kindU64,
	attrPackets:             kindU64,
	attrBytes:               kindU64,
	attrAgeMS:               kindU64,
	attrLocatorSrc:          kindAddr,
	attrLocatorDst:          kindAddr,
	attrTag:                 kindU64,
	attrSockets:             kindU32,
	attrTimeNS:              kindU64,
	attrEnabled:             kindU8,
	attrHeuristic:           kindString,
	attrHeuristics:          kindNested,
	attrTCPKick:             kindU8,
	attrGSOMode:             kindU8,
	attrMarkMask:            kindU32,
	attrStats:               kindNested,
	attrStack:               kindNested,
	attrParam:               kindNested,
	attrAsked:               kindFlag,
	attrGSODevices:          kindNested,
	attrDevice:              kindNested,
	attrRTOHint:             kindU8,
}

// maxNames bounds the heuristics that are read from one message.
const maxNames = 64

// A message is the attributes of one request, reply or event. The value of attribute a, when present, is in num[a],
// addr[a], or, for the few that are neither a number nor an address, in a field of its own.
type message struct {
	present  uint64
	num      [attrCount]uint64
	addr     [attrCount]netip.Addr
	str      string // attrHeuristic
	paths    []Path
	carried  []PathCounters
	locators []netip.Addr
	names    []string // attrHeuristics
	stats    Stats
	stack    []Heuristic // attrStack
	param    Param       // attrParam
	rules    []Device    // attrGSODevices
	device   Device      // attrDevice
}

func (m *message) has(a int) bool { return m.present&(1<<a) != 0 }
func (m *message) mark(a int)     { m.present |= 1 << a }

func (m *message) set(a int, v uint64) {
	m.num[a] = v
	m.mark(a)
}

func (m *message) setBool(a int, v bool) {
	var n uint64
	if v {
		n = 1
	}
	m.set(a, n)
}

// setAddr leaves the attribute out for the zero Addr.
func (m *message) setAddr(a int, v netip.Addr) {
	if v.IsValid() {
		m.addr[a] = v
		m.mark(a)
	}
}

// setMillis leaves the attribute out for zero.
func (m *message) setMillis(a int, d time.Duration) {
	if d != 0 {
		m.set(a, uint64(max(d.Milliseconds(), 0)))
	}
}

// millis is n milliseconds; what a Duration cannot hold becomes the longest one.
func millis(n uint64) time.Duration {
	if n > uint64(math.MaxInt64/time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Millisecond
}

func (m *message) need(attrs ...int) error {
	for _, a := range attrs {
		if !m.has(a) {
			return fmt.Errorf("attribute %d is missing", a)
		}
	}
	return nil
}

// marshal encodes m in the order of the attribute numbers.
func (m *message) marshal() ([]byte, error) {
	ae := netlink.NewAttributeEncoder()
	for a := range kinds {
		if !m.has(a) {
			continue
		}
		t, v := uint16(a), m.num[a]
		switch kinds[a] {
		case kindFlag:
			ae.Flag(t, true)
		case kindU8:
			if v > math.MaxUint8 {
				return nil, fmt.Errorf("attribute %d: %d does not fit 8 bits", a, v)
			}
			ae.Uint8(t, uint8(v))
		case kindU32:
			if v > math.MaxUint32 {
				return nil, fmt.Errorf("attribute %d: %d does not fit 32 bits", a, v)
			}
			ae.Uint32(t, uint32(v))
		case kindU64:
			ae.Uint64(t, v)
		case kindAddr:
			if err := putAddr(ae, t, m.addr[a]); err != nil {
				return nil, err
			}
		case kindString:
			if err := putName(ae, t, m.str, stackNameMax); err != nil {
				return nil, err
			}
		case kindNested:
			ae.Nested(t, func(ne *netlink.AttributeEncoder) error { return m.marshalNested(a, ne) })
		case kindNone:
		}
	}
	return ae.Encode()
}

func (m *message) marshalNested(a int, ne *netlink.AttributeEncoder) error {
	switch a {
	case attrPaths:
		if len(m.paths) > MaxPaths {
			return fmt.Errorf("%d paths, at most %d", len(m.paths), MaxPaths)
		}
		for i, p := range m.paths {
			ne.Nested(attrPath, func(pe *netlink.AttributeEncoder) error {
				if err := errors.Join(putAddr(pe, pathAttrLocal, p.Local), putAddr(pe, pathAttrPeer, p.Peer)); err != nil {
					return err
				}
				if i < len(m.carried) { // only the kernel tells
					pe.Uint64(pathAttrTxPackets, m.carried[i].TxPackets)
					pe.Uint64(pathAttrTxBytes, m.carried[i].TxBytes)
					pe.Uint64(pathAttrRxPackets, m.carried[i].RxPackets)
					pe.Uint64(pathAttrRxBytes, m.carried[i].RxBytes)
				}
				return nil
			})
		}
	case attrLocatorsLocal:
		if len(m.locators) > MaxLocators {
			return fmt.Errorf("%d local locators, at most %d", len(m.locators), MaxLocators)
		}
		for _, l := range m.locators {
			if err := putAddr(ne, attrLocator, l); err != nil {
				return err
			}
		}
	case attrHeuristics:
		for _, n := range m.names {
			if err := putName(ne, attrHeuristic, n, heuristicNameMax); err != nil {
				return err
			}
		}
	case attrStats:
		for s := range statCount {
			if v, ok := m.stats[s]; ok {
				ne.Uint64(uint16(s), v)
			}
		}
	case attrStack:
		for _, h := range m.stack {
			ne.Nested(attrUse, h.marshal)
		}
	case attrParam:
		return m.param.marshal(ne)
	case attrGSODevices:
		if len(m.rules) > MaxGSODevices {
			return fmt.Errorf("%d rules for devices, at most %d", len(m.rules), MaxGSODevices)
		}
		for _, d := range m.rules {
			ne.Nested(attrDevice, d.marshal)
		}
	case attrDevice:
		return m.device.marshal(ne)
	}
	return nil
}

func putAddr(ae *netlink.AttributeEncoder, t uint16, a netip.Addr) error {
	if !a.Is6() || a.Is4In6() || a.Zone() != "" {
		return fmt.Errorf("attribute %d: %v is not an IPv6 address", t, a)
	}
	b := a.As16()
	ae.Bytes(t, b[:])
	return nil
}

func putName(ae *netlink.AttributeEncoder, t uint16, s string, size int) error {
	if err := checkName(s, size); err != nil {
		return fmt.Errorf("attribute %d: %w", t, err)
	}
	ae.String(t, s)
	return nil
}

// checkName wants what fits size octets with its terminating zero.
func checkName(s string, size int) error {
	if s == "" || len(s) >= size || strings.ContainsRune(s, 0) {
		return fmt.Errorf("%q is not a name of 1 to %d octets", s, size-1)
	}
	return nil
}

// unmarshal decodes b. Attributes that this program does not know are skipped; one of the wrong size is an error.
func unmarshal(b []byte) (*message, error) {
	m := new(message)
	err := each(b, func(t uint16, v []byte) error {
		a := int(t)
		if a >= attrCount || kinds[a] == kindNone {
			return nil
		}
		if err := m.unmarshalOne(a, v); err != nil {
			return fmt.Errorf("attribute %d: %w", a, err)
		}
		m.mark(a)
		return nil
	})
	return m, err
}

func (m *message) unmarshalOne(a int, v []byte) (err error) {
	switch kinds[a] {
	case kindFlag:
		m.num[a], err = number(v, 0)
	case kindU8:
		m.num[a], err = number(v, 1)
	case kindU32:
		m.num[a], err = number(v, 4)
	case kindU64:
		m.num[a], err = number(v, 8)
	case kindAddr:
		m.addr[a], err = address(v)
	case kindString:
		m.str, err = name(v, stackNameMax)
	case kindNested:
		return m.unmarshalNested(a, v)
	case kindNone:
	}
	return err
}

func (m *message) unmarshalNested(a int, b []byte) (err error) {
	switch a {
	case attrPaths:
		m.paths, m.carried = nil, nil
		return list(b, attrPath, MaxPaths, func(v []byte) error {
			p, carried, err := path(v)
			m.paths = append(m.paths, p)
			if carried != nil {
				m.carried = append(m.carried, *carried)
			}
			return err
		})
	case attrLocatorsLocal:
		m.locators = nil
		return list(b, attrLocator, MaxLocators, func(v []byte) error {
			l, err := address(v)
			m.locators = append(m.locators, l)
			return err
		})
	case attrHeuristics:
		m.names = nil
		return list(b, attrHeuristic, maxNames, func(v []byte) error {
			n, err := name(v, heuristicNameMax)
			m.names = append(m.names, n)
			return err
		})
	case attrStack:
		m.stack = nil
		return list(b, attrUse, stackMax, func(v []byte) error {
			h, err := heuristic(v)
			m.stack = append(m.stack, h)
			return err
		})
	case attrParam:
		m.param, err = param(b)
		return err
	case attrGSODevices:
		m.rules = []Device{}
		return list(b, attrDevice, MaxGSODevices, func(v []byte) error {
			d, err := device(v)
			m.rules = append(m.rules, d)
			return err
		})
	case attrDevice:
		m.device, err = device(b)
		return err
	default: // attrStats
		m.stats = make(Stats)
		return each(b, func(t uint16, v []byte) error {
			// A counter newer than this program is left out; so is padding, which has no value.
			if s := Stat(t); s > statUnspec && s < statCount && len(v) > 0 {
				n, err := number(v, 8)
				m.stats[s] = n
				return err
			}
			return nil
		})
	}
}

// each calls fn for every attribute in b with its type, without flags, and its value.
func each(b []byte, fn func(t uint16, v []byte) error) error {
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return err
	}
	for ad.Next() {
		if err := fn(ad.Type(), ad.Bytes()); err != nil {
			return err
		}
	}
	return ad.Err()
}

// list calls fn for every attribute of type elem in b, of which there may be most; other types are skipped.
func list(b []byte, elem uint16, most int, fn func(v []byte) error) error {
	n := 0
	return each(b, func(t uint16, v []byte) error {
		if t != elem {
			return nil
		}
		if n++; n > most {
			return fmt.Errorf("more than %d elements", most)
		}
		return fn(v)
	})
}

// path reads a path and, where they are told, its counters.
func path(b []byte) (p Path, carried *PathCounters, err error) {
	var c PathCounters
	counters := map[uint16]*uint64{
		pathAttrTxPackets: &c.TxPackets, pathAttrTxBytes: &c.TxBytes, pathAttrRxPackets: &c.RxPackets, pathAttrRxBytes: &c.RxBytes,
	}
	err = each(b, func(t uint16, v []byte) (err error) {
		if to := counters[t]; to != nil {
			carried = &c
			*to, err = number(v, 8)
			return err
		}
		switch t {
		case pathAttrLocal:
			p.Local, err = address(v)
		case pathAttrPeer:
			p.Peer, err = address(v)
		}
		return err
	})
	if err == nil && (!p.Local.IsValid() || !p.Peer.IsValid()) {
		err = fmt.Errorf("a path lacks an address")
	}
	return p, carried, err
}

// number reads an integer of size octets in host order; a flag has none and reads as 1.
func number(v []byte, size int) (uint64, error) {
	if len(v) != size {
		return 0, fmt.Errorf("%d octets, not %d", len(v), size)
	}
	switch size {
	case 1:
		return uint64(v[0]), nil
	case 4:
		return uint64(binary.NativeEndian.Uint32(v)), nil
	case 8:
		return binary.NativeEndian.Uint64(v), nil
	}
	return 1, nil
}

func address(v []byte) (netip.Addr, error) {
	if len(v) != 16 {
		return netip.Addr{}, fmt.Errorf("%d octets, not 16", len(v))
	}
	a := netip.AddrFrom16([16]byte(v))
	if a.Is4In6() {
		return netip.Addr{}, fmt.Errorf("%v is an IPv4-mapped address", a)
	}
	return a, nil
}

func name(v []byte, size int) (string, error) {
	s := strings.TrimSuffix(string(v), "\x00")
	return s, checkName(s, size)
}
