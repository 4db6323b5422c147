// SPDX-License-Identifier: MIT

package nl

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/genetlink/genltest"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

var testFamily = genetlink.Family{
	ID: 28, Version: familyVersion, Name: familyName,
	Groups: []genetlink.MulticastGroup{{ID: 9, Name: groupEvents}},
}

// dial connects a Client to a kernel that checks the request's command and flags and answers as fn says.
func dial(t *testing.T, cmd uint8, flags netlink.HeaderFlags, fn func(*message) ([]*message, error)) *Client {
	t.Helper()
	c, err := newClient(genltest.Dial(genltest.ServeFamily(testFamily,
		genltest.CheckRequest(testFamily.ID, cmd, netlink.Request|flags,
			func(greq genetlink.Message, _ netlink.Message) ([]genetlink.Message, error) {
				if greq.Header.Version != familyVersion {
					return nil, fmt.Errorf("version %d", greq.Header.Version)
				}
				m, err := unmarshal(greq.Data)
				if err != nil {
					return nil, err
				}
				answers, err := fn(m)
				return encode(t, cmd, answers), err
			}))))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func encode(t *testing.T, cmd uint8, ms []*message) []genetlink.Message {
	t.Helper()
	var out []genetlink.Message
	for _, m := range ms {
		b, err := m.marshal()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, genetlink.Message{Header: genetlink.Header{Command: cmd, Version: 1}, Data: b})
	}
	return out
}

// ack acknowledges a request: the netlink library turns errno 0 into no answers.
func ack() ([]*message, error) { return nil, genltest.Error(0) }

func sampleContext() Context {
	return Context{
		ULIDLocal: ulidA, ULIDPeer: ulidB, FII: 3, TagLocal: 0x112233445566, TagPeer: 0x010203040506,
		Paths: []Path{{ulidA, ulidB}, {locA, locB}}, LocatorsLocal: []netip.Addr{ulidA, locA},
		SendTimeout: 15 * time.Second, KeepaliveTimeout: 15 * time.Second, KeepaliveInterval: 3 * time.Second,
	}
}

func TestRequests(t *testing.T) {
	x := sampleContext()
	set := func(pairs ...uint64) *message {
		m := new(message)
		for i := 0; i < len(pairs); i += 2 {
			m.set(int(pairs[i]), pairs[i+1])
		}
		return m
	}
	settings := set(attrEnabled, 1, attrTCPKick, 0, attrRTOHint, 1, attrGSOMode, 1, attrMarkMask, 0xff)
	settings.str = "default"
	settings.mark(attrHeuristic)
	settings.rules = []Device{{Name: "eth0", GSO: GSOWhole}, {Name: "veth*", GSO: GSOSegment}}
	settings.mark(attrGSODevices)
	change := x.message()
	change.present &^= 1<<attrULIDLocal | 1<<attrULIDPeer | 1<<attrFII

	for name, tc := range map[string]struct {
		cmd  uint8
		call func(*Client) error
		want *message
	}{
		"new context": {cmdCtxNew, func(c *Client) error { return c.NewContext(x) }, x.message()},
		"set context": {cmdCtxSet, func(c *Client) error { return c.SetContext(x) }, change},
		"set only the paths": {cmdCtxSet, func(c *Client) error {
			return c.SetContext(Context{TagLocal: 5, Paths: x.Paths})
		}, &message{
			present: 1<<attrTagLocal | 1<<attrPaths, num: [attrCount]uint64{attrTagLocal: 5}, paths: x.Paths,
		}},
		"delete context": {cmdCtxDel, func(c *Client) error { return c.DeleteContext(7) }, set(attrTagLocal, 7)},
		"flush":          {cmdCtxFlush, func(c *Client) error { return c.Flush() }, set()},
		"reap with timers": {cmdReapSet, func(c *Client) error {
			return c.SetReap(Reap{TagLocal: 7, State: ReapInboundOk, Epoch: 4, Send: TimerRestart, Keepalive: TimerStop})
		}, set(attrTagLocal, 7, attrReapState, 2, attrReapEpoch, 4, attrSendTimer, 3, attrKeepaliveTimer, 1)},
		"reap keeps timers": {cmdReapSet, func(c *Client) error {
			return c.SetReap(Reap{TagLocal: 7, State: ReapExploring})
		}, set(attrTagLocal, 7, attrReapState, 1, attrReapEpoch, 0)},
		"settings": {cmdCfgSet, func(c *Client) error {
			return c.SetSettings(Settings{
				Enabled: ptr(true), Heuristic: ptr("default"), TCPKick: ptr(false), RTOHint: ptr(true), GSOMode: ptr(GSOWhole), MarkMask: ptr(uint32(0xff)),
				GSODevices: settings.rules,
			})
		}, settings},
		"no settings": {cmdCfgSet, func(c *Client) error { return c.SetSettings(Settings{}) }, set()},
	} {
		t.Run(name, func(t *testing.T) {
			var got *message
			c := dial(t, tc.cmd, netlink.Acknowledge, func(m *message) ([]*message, error) {
				got = m
				return ack()
			})
			if err := tc.call(c); err != nil {
				t.Fatal(err)
			}
			// What is not marked as present is not on the wire.
			if !tc.want.has(attrULIDLocal) {
				tc.want.addr = [attrCount]netip.Addr{}
			}
			if !tc.want.has(attrFII) {
				tc.want.num[attrFII] = 0
			}
			if d := cmp.Diff(tc.want, got, messages, addrs); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestContexts(t *testing.T) {
	want := sampleContext()
	want.ReapState, want.ReapEpoch = ReapExploring, 12
	want.TxPackets, want.TxBytes, want.RxPackets, want.RxBytes = 1, 2, 3, 4
	want.Idle = 1500 * time.Millisecond
	answer := want.message()
	want.Carried = []PathCounters{{1, 2, 3, 4}, {5, 6, 7, 8}}
	answer.carried = want.Carried
	for a, v := range map[int]uint64{
		attrReapState: 1, attrReapEpoch: 12, attrTxPackets: 1, attrTxBytes: 2, attrRxPackets: 3, attrRxBytes: 4, attrIdleMS: 1500,
	} {
		answer.set(a, v)
	}

	t.Run("dump", func(t *testing.T) {
		second := want
		second.TagLocal++
		answer2 := *answer
		answer2.num[attrTagLocal]++
		c := dial(t, cmdCtxGet, netlink.Dump, func(m *message) ([]*message, error) {
			if m.present != 0 {
				return nil, errors.New("a dump asks for no single context")
			}
			return []*message{answer, &answer2}, nil
		})
		got, err := c.Contexts()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]Context{want, second}, got, addrs); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
	t.Run("one", func(t *testing.T) {
		c := dial(t, cmdCtxGet, 0, func(m *message) ([]*message, error) {
			if m.num[attrTagLocal] != want.TagLocal {
				return nil, genltest.Error(int(unix.ENOENT))
			}
			return []*message{answer}, nil
		})
		got, err := c.Context(want.TagLocal)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, addrs); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if _, err := c.Context(1); !errors.Is(err, unix.ENOENT) {
			t.Errorf("unknown tag: %v, want ENOENT", err)
		}
	})
	t.Run("without a tag", func(t *testing.T) {
		bad := *answer
		bad.present &^= 1 << attrTagLocal
		c := dial(t, cmdCtxGet, netlink.Dump, func(*message) ([]*message, error) { return []*message{&bad}, nil })
		if _, err := c.Contexts(); err == nil || !strings.Contains(err.Error(), "attribute 5 is missing") {
			t.Errorf("error %v", err)
		}
	})
}

func TestSettings(t *testing.T) {
	answer := new(message)
	for a, v := range map[int]uint64{attrEnabled: 1, attrTCPKick: 1, attrRTOHint: 0, attrGSOMode: 1, attrMarkMask: 7} {
		answer.set(a, v)
	}
	answer.str, answer.names = "eui64", []string{"none", "eui64"}
	answer.mark(attrHeuristic)
	answer.mark(attrHeuristics)
	answer.rules = []Device{{Name: "eth?", GSO: GSOAuto}}
	answer.mark(attrGSODevices)
	c := dial(t, cmdCfgGet, 0, func(*message) ([]*message, error) { return []*message{answer}, nil })
	got, err := c.Settings()
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{
		Enabled: ptr(true), Heuristic: ptr("eui64"), TCPKick: ptr(true), RTOHint: ptr(false), GSOMode: ptr(GSOWhole), MarkMask: ptr(uint32(7)),
		Heuristics: []string{"none", "eui64"}, GSODevices: answer.rules,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestDevices(t *testing.T) {
	answer := &message{device: Device{Name: "eth0", GSO: GSOSegment}}
	answer.mark(attrDevice)
	c := dial(t, cmdDevGet, netlink.Dump, func(*message) ([]*message, error) { return []*message{answer, answer}, nil })
	got, err := c.Devices()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Device{answer.device, answer.device}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	whole := []byte{9, 0, 1, 0, 'e', 't', 'h', '0', 0, 0, 0, 0, 5, 0, 2, 0, 1, 0, 0, 0, 8, 0, 3, 0, 7, 0, 0, 0, 5, 0, 4, 0, 2, 0, 0, 0}
	read, err := device(whole)
	if want := (Device{"eth0", GSOWhole, 7, GSOWhySoftware}); err != nil || read != want {
		t.Errorf("device = %+v, %v, want %+v", read, err, want)
	}
	for name, b := range map[string][]byte{"no name": whole[12:], "a short index": append(whole[:20:20], 5, 0, 3, 0, 7, 0, 0, 0)} {
		if _, err := device(b); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestStats(t *testing.T) {
	want := Stats{StatRxRewritten: 5, StatTCPKicks: 6}
	answer := &message{stats: want}
	answer.mark(attrStats)
	c := dial(t, cmdStatsGet, 0, func(*message) ([]*message, error) { return []*message{answer}, nil })
	got, err := c.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestCandidates(t *testing.T) {
	answer := new(message)
	answer.setAddr(attrULIDLocal, ulidA)
	answer.setAddr(attrULIDPeer, ulidB)
	answer.set(attrBytes, 100)
	answer.set(attrPackets, 2)
	answer.set(attrAgeMS, 2500)
	asked := *answer
	asked.mark(attrAsked)
	c := dial(t, cmdCandGet, netlink.Dump, func(*message) ([]*message, error) { return []*message{answer, &asked}, nil })
	got, err := c.Candidates()
	if err != nil {
		t.Fatal(err)
	}
	want := []Candidate{{ulidA, ulidB, 100, 2, 2500 * time.Millisecond, false}, {ulidA, ulidB, 100, 2, 2500 * time.Millisecond, true}}
	if d := cmp.Diff(want, got, addrs); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestErrorsTellOperationAndErrno(t *testing.T) {
	c := dial(t, cmdCtxNew, netlink.Acknowledge, func(*message) ([]*message, error) {
		return nil, genltest.Error(int(unix.EEXIST))
	})
	err := c.NewContext(sampleContext())
	var e *Error
	if !errors.As(err, &e) || e.Errno != unix.EEXIST || !errors.Is(err, unix.EEXIST) {
		t.Fatalf("error %v, want EEXIST", err)
	}
	if got, want := err.Error(), "create context 112233445566: file exists"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

func TestErrorsCarryTheKernelsWords(t *testing.T) {
	err := wrap("create context 000000000001", &netlink.OpError{
		Op: "receive", Err: unix.EINVAL, Message: "a path needs two addresses",
	})
	if got, want := err.Error(), "create context 000000000001: a path needs two addresses: invalid argument"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

func TestOneAnswerIsNeeded(t *testing.T) {
	m := &message{stats: Stats{}}
	m.mark(attrStats)
	c := dial(t, cmdStatsGet, 0, func(*message) ([]*message, error) { return []*message{m, m}, nil })
	if _, err := c.Stats(); err == nil || err.Error() != "read counters: 2 answers, not one" {
		t.Errorf("error %v", err)
	}
}

func TestModuleIsNotLoaded(t *testing.T) {
	conn := genltest.Dial(func(genetlink.Message, netlink.Message) ([]genetlink.Message, error) {
		return nil, genltest.Error(int(unix.ENOENT))
	})
	_, err := newClient(conn)
	if !errors.Is(err, ErrNotLoaded) || err.Error() != "module shim6 is not loaded" {
		t.Errorf("error %v, want ErrNotLoaded", err)
	}
	if got := Hint(err); !strings.HasPrefix(got, "load the kernel module: modprobe shim6;") {
		t.Errorf("hint %q", got)
	}
	if _, err := newSubscription(conn, nil); !errors.Is(err, ErrNotLoaded) {
		t.Errorf("subscription: error %v, want ErrNotLoaded", err)
	}
}

func TestOtherVersionIsRefused(t *testing.T) {
	f := testFamily
	f.Version = 2
	_, err := newClient(genltest.Dial(genltest.ServeFamily(f, nil)))
	if err == nil || err.Error() != "module shim6 speaks version 2 of its interface, this program 1" {
		t.Errorf("error %v", err)
	}
}

func TestLoaded(t *testing.T) {
	f, gone := testFamily, false
	c, err := newClient(genltest.Dial(func(greq genetlink.Message, nreq netlink.Message) ([]genetlink.Message, error) {
		if gone {
			return nil, genltest.Error(int(unix.ENOENT))
		}
		return genltest.ServeFamily(f, nil)(greq, nreq)
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Loaded(); err != nil {
		t.Errorf("loaded: %v", err)
	}
	f.ID++
	if err := c.Loaded(); err == nil || err.Error() != "module shim6 was loaded again" {
		t.Errorf("loaded again: %v", err)
	}
	gone = true
	if err := c.Loaded(); !errors.Is(err, ErrNotLoaded) {
		t.Errorf("unloaded: %v", err)
	}
}

func TestHint(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&Error{Errno: unix.EPERM}, "the kernel module answers only to CAP_NET_ADMIN: run as root"},
		{&Error{Errno: unix.EOPNOTSUPP}, "the loaded module shim6 is of another version: reload it"},
		{errors.New("x"), ""},
		{nil, ""},
	} {
		if got := Hint(tc.err); got != tc.want {
			t.Errorf("Hint(%v) = %q, want %q", tc.err, got, tc.want)
		}
	}
}
