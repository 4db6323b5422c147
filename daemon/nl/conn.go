// SPDX-License-Identifier: MIT

package nl

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
)

// A Client sends requests to the kernel module for the network namespace that it was dialled in. It is safe for
// concurrent use. What the kernel refuses comes back as an *Error.
type Client struct {
	conn   *genetlink.Conn
	family genetlink.Family
}

// Dial connects to the kernel module; ErrNotLoaded says that there is none.
func Dial() (*Client, error) {
	conn, err := genetlink.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("open a generic netlink socket: %w", err)
	}
	for _, o := range []netlink.ConnOption{netlink.ExtendedAcknowledge, netlink.GetStrictCheck} {
		if err := conn.SetOption(o, true); err != nil {
			return nil, errors.Join(fmt.Errorf("set netlink socket option %d: %w", o, err), conn.Close())
		}
	}
	c, err := newClient(conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func newClient(conn *genetlink.Conn) (*Client, error) {
	f, err := family(conn)
	if err != nil {
		return nil, err
	}
	return &Client{conn, f}, nil
}

func family(conn *genetlink.Conn) (genetlink.Family, error) {
	f, err := conn.GetFamily(familyName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, ErrNotLoaded
	case err != nil:
		return f, wrap("look up module shim6", err)
	case f.Version != familyVersion:
		return f, fmt.Errorf("module shim6 speaks version %d of its interface, this program %d", f.Version, familyVersion)
	}
	return f, nil
}

// Close closes the socket.
func (c *Client) Close() error { return c.conn.Close() }

// Loaded asks anew whether the module that the client was dialled to is still there: nil, ErrNotLoaded, or an error that
// says that it was loaded again.
func (c *Client) Loaded() error {
	f, err := family(c.conn)
	if err == nil && f.ID != c.family.ID {
		err = errors.New("module shim6 was loaded again")
	}
	return err
}

// NewContext creates a context. ULIDs, both tags, 1 to MaxPaths paths and 1 to MaxLocators local locators are needed.
// EEXIST says that the local tag, or the ULID pair with the FII, is taken.
func (c *Client) NewContext(x Context) error {
	return c.do(fmt.Sprintf("create context %012x", x.TagLocal), cmdCtxNew, x.message())
}

// SetContext changes the context that has the local tag: the peer's tag, the paths, the local locators and the timeouts,
// each unless it is zero.
func (c *Client) SetContext(x Context) error {
	m := x.message()
	m.present &^= 1<<attrULIDLocal | 1<<attrULIDPeer | 1<<attrFII
	return c.do(fmt.Sprintf("change context %012x", x.TagLocal), cmdCtxSet, m)
}

// DeleteContext deletes the context that has the local tag.
func (c *Client) DeleteContext(tagLocal uint64) error {
	return c.do(fmt.Sprintf("delete context %012x", tagLocal), cmdCtxDel, tagMessage(tagLocal))
}

// Flush deletes every context of the network namespace.
func (c *Client) Flush() error { return c.do("flush contexts", cmdCtxFlush, new(message)) }

// SetReap sets a context's REAP state and acts on its timers.
func (c *Client) SetReap(r Reap) error {
	return c.do(fmt.Sprintf("set REAP state of context %012x", r.TagLocal), cmdReapSet, r.message())
}

// SetSettings changes the settings of the network namespace that are not nil.
func (c *Client) SetSettings(s Settings) error {
	return c.do("change settings", cmdCfgSet, s.message())
}

// Context reads the context that has the local tag.
func (c *Client) Context(tagLocal uint64) (Context, error) {
	return one(c, fmt.Sprintf("read context %012x", tagLocal), cmdCtxGet, tagMessage(tagLocal), (*message).context)
}

// Contexts reads every context of the network namespace.
func (c *Client) Contexts() ([]Context, error) {
	return get(c, "list contexts", cmdCtxGet, new(message), netlink.Dump, (*message).context)
}

// Candidates reads the flows that have no context.
func (c *Client) Candidates() ([]Candidate, error) {
	return get(c, "list candidates", cmdCandGet, new(message), netlink.Dump, (*message).candidate)
}

// Settings reads the settings of the network namespace.
func (c *Client) Settings() (Settings, error) {
	return one(c, "read settings", cmdCfgGet, new(message), (*message).settings)
}

// Stats reads the counters of the network namespace.
func (c *Client) Stats() (Stats, error) {
	return one(c, "read counters", cmdStatsGet, new(message), func(m *message) (Stats, error) {
		return m.stats, m.need(attrStats)
	})
}

func tagMessage(tagLocal uint64) *message {
	m := new(message)
	m.set(attrTagLocal, tagLocal)
	return m
}

// do sends a request that is only acknowledged.
func (c *Client) do(op string, cmd uint8, m *message) error {
	_, err := c.execute(op, cmd, m, netlink.Acknowledge)
	return err
}

// one sends a request that is answered with one message.
func one[T any](c *Client, op string, cmd uint8, m *message, decode func(*message) (T, error)) (T, error) {
	all, err := get(c, op, cmd, m, 0, decode)
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("%s: %d answers, not one", op, len(all))
	}
	if err != nil {
		var none T
		return none, err
	}
	return all[0], nil
}

func get[T any](c *Client, op string, cmd uint8, m *message, flags netlink.HeaderFlags,
	decode func(*message) (T, error)) ([]T, error) {
	answers, err := c.execute(op, cmd, m, flags)
	if err != nil {
		return nil, err
	}
	all := make([]T, 0, len(answers))
	for _, a := range answers {
		v, err := decodeWith(a.Data, decode)
		if err != nil {
			return nil, fmt.Errorf("%s: answer of the kernel: %w", op, err)
		}
		all = append(all, v)
	}
	return all, nil
}

func decodeWith[T any](b []byte, decode func(*message) (T, error)) (v T, err error) {
	m, err := unmarshal(b)
	if err != nil {
		return v, err
	}
	return decode(m)
}

func (c *Client) execute(op string, cmd uint8, m *message, flags netlink.HeaderFlags) ([]genetlink.Message, error) {
	data, err := m.marshal()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	req := genetlink.Message{Header: genetlink.Header{Command: cmd, Version: familyVersion}, Data: data}
	answers, err := c.conn.Execute(req, c.family.ID, netlink.Request|flags)
	return answers, wrap(op, err)
}
