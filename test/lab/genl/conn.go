// SPDX-License-Identifier: MIT

package genl

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Conn is a netlink socket in one network namespace.
type Conn struct {
	conn   *genetlink.Conn
	family genetlink.Family
}

// Dial opens a socket in the namespace with the given descriptor, 0 being this thread's, and finds the family.
func Dial(ns int) (*Conn, error) {
	conn, err := genetlink.Dial(&netlink.Config{NetNS: ns, Strict: true})
	if err != nil {
		return nil, fmt.Errorf("generic netlink: %w", err)
	}
	family, err := conn.GetFamily(Family)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("family %s: %w", Family, err)
	}
	return &Conn{conn: conn, family: family}, nil
}

// Close closes the socket.
func (c *Conn) Close() { c.conn.Close() }

// HasGroup tells whether the family has the events group.
func (c *Conn) HasGroup() bool {
	for _, g := range c.family.Groups {
		if g.Name == Group {
			return true
		}
	}
	return false
}

// Do sends a request that has no reply but an acknowledgement. The error is the kernel's.
func (c *Conn) Do(command uint8, attrs []byte) error {
	_, err := c.send(command, attrs, netlink.Request|netlink.Acknowledge)
	return err
}

// Get sends a request that has a reply.
func (c *Conn) Get(command uint8, attrs []byte) ([]genetlink.Message, error) {
	return c.send(command, attrs, netlink.Request)
}

// Dump asks for everything.
func (c *Conn) Dump(command uint8) ([]genetlink.Message, error) {
	return c.send(command, nil, netlink.Request|netlink.Dump)
}

func (c *Conn) send(command uint8, attrs []byte, flags netlink.HeaderFlags) ([]genetlink.Message, error) {
	m := genetlink.Message{
		Header: genetlink.Header{Command: command, Version: c.family.Version},
		Data:   attrs,
	}
	return c.conn.Execute(m, c.family.ID, flags)
}

// Attrs joins attributes.
func Attrs(list ...[]byte) []byte {
	var all []byte
	for _, a := range list {
		all = append(all, a...)
	}
	return all
}

// Raw is an attribute with this type, nested bit included, and these octets.
func Raw(kind uint16, data []byte) []byte {
	a := binary.NativeEndian.AppendUint16(nil, uint16(4+len(data)))
	a = binary.NativeEndian.AppendUint16(a, kind)
	a = append(a, data...)
	for len(a)%4 != 0 {
		a = append(a, 0)
	}
	return a
}

// U8 is an attribute of one octet.
func U8(kind uint16, v uint8) []byte { return Raw(kind, []byte{v}) }

// U32 is an attribute of four octets.
func U32(kind uint16, v uint32) []byte { return Raw(kind, binary.NativeEndian.AppendUint32(nil, v)) }

// U64 is an attribute of eight octets.
func U64(kind uint16, v uint64) []byte { return Raw(kind, binary.NativeEndian.AppendUint64(nil, v)) }

// String is an attribute with a terminated string.
func String(kind uint16, v string) []byte { return Raw(kind, append([]byte(v), 0)) }

// Addr is an attribute with an IPv6 address.
func Addr(kind uint16, a netip.Addr) []byte {
	octets := a.As16()
	return Raw(kind, octets[:])
}

// Nest is an attribute that holds attributes.
func Nest(kind uint16, inner ...[]byte) []byte {
	return Raw(kind|netlink.Nested, Attrs(inner...))
}

// Many sends requests of one command with few system calls, and no acknowledgement for each. The error is the kernel's about
// any of them.
func (c *Conn) Many(ns int, command uint8, list [][]byte) error {
	conn, err := netlink.Dial(unix.NETLINK_GENERIC, &netlink.Config{NetNS: ns})
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	defer conn.Close()
	for batch := range slices.Chunk(list, 64) {
		messages := make([]netlink.Message, len(batch))
		for i, attrs := range batch {
			messages[i].Header = netlink.Header{Type: netlink.HeaderType(c.family.ID), Flags: netlink.Request}
			messages[i].Data = append([]byte{command, c.family.Version, 0, 0}, attrs...)
		}
		messages[len(batch)-1].Header.Flags |= netlink.Acknowledge
		if _, err := conn.SendMessages(messages); err != nil {
			return err
		}
		if _, err := conn.Receive(); err != nil {
			return err
		}
	}
	return nil
}
