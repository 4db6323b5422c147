// SPDX-License-Identifier: MIT

package nl

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/genetlink/genltest"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// eventMessage has what every event may carry.
func eventMessage() *message {
	m := new(message)
	m.set(attrTimeNS, 99)
	m.set(attrTagLocal, 5)
	m.set(attrReapEpoch, 8)
	m.setAddr(attrULIDLocal, ulidA)
	m.setAddr(attrULIDPeer, ulidB)
	m.set(attrBytes, 2048)
	m.set(attrPackets, 4)
	m.set(attrAgeMS, 60000)
	m.setAddr(attrLocatorSrc, locB)
	m.setAddr(attrLocatorDst, locA)
	m.set(attrTag, 77)
	m.set(attrSockets, 3)
	return m
}

func TestEvents(t *testing.T) {
	last := eventMessage()
	last.set(attrKeepaliveLast, 1)
	for name, tc := range map[string]struct {
		cmd  uint8
		m    *message
		want Event
	}{
		"trigger":        {cmdEvTrigger, eventMessage(), Trigger{99, ulidA, ulidB, 2048, 4, time.Minute}},
		"send timeout":   {cmdEvSendTimeout, eventMessage(), SendTimeout{99, 5, 8}},
		"keepalive":      {cmdEvKeepaliveDue, eventMessage(), KeepaliveDue{99, 5, 8, false}},
		"last keepalive": {cmdEvKeepaliveDue, last, KeepaliveDue{99, 5, 8, true}},
		"payload seen":   {cmdEvPayloadSeen, eventMessage(), PayloadSeen{99, 5, 8}},
		"unknown tag":    {cmdEvUnknownTag, eventMessage(), UnknownTag{99, locB, locA, 77}},
		"context gone": {cmdEvCtxGone, eventMessage(), ContextGone{99, Context{
			ULIDLocal: ulidA, ULIDPeer: ulidB, TagLocal: 5, ReapEpoch: 8,
		}}},
		"TCP kick":               {cmdEvTCPKick, eventMessage(), TCPKick{99, ulidA, ulidB, 3}},
		"retransmission timeout": {cmdEvRTO, eventMessage(), RTO{99, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := tc.m.marshal()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, decodeEvent(tc.cmd, b), addrs); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestEventsLackingAnAttributeAreMalformed(t *testing.T) {
	for name, tc := range map[string]struct {
		cmd  uint8
		attr int
	}{
		"trigger without peer":         {cmdEvTrigger, attrULIDPeer},
		"send timeout without tag":     {cmdEvSendTimeout, attrTagLocal},
		"keepalive without epoch":      {cmdEvKeepaliveDue, attrReapEpoch},
		"payload seen without tag":     {cmdEvPayloadSeen, attrTagLocal},
		"unknown tag without source":   {cmdEvUnknownTag, attrLocatorSrc},
		"context gone without a tag":   {cmdEvCtxGone, attrTagLocal},
		"TCP kick without its sockets": {cmdEvTCPKick, attrSockets},
	} {
		t.Run(name, func(t *testing.T) {
			m := eventMessage()
			m.present &^= 1 << tc.attr
			b, err := m.marshal()
			if err != nil {
				t.Fatal(err)
			}
			ev, ok := decodeEvent(tc.cmd, b).(Malformed)
			if !ok || ev.Command != tc.cmd || ev.Err == nil {
				t.Errorf("event %+v, want Malformed", ev)
			}
		})
	}
}

func TestSubscription(t *testing.T) {
	b, err := eventMessage().marshal()
	if err != nil {
		t.Fatal(err)
	}
	msg := func(cmd uint8, data []byte) genetlink.Message {
		return genetlink.Message{Header: genetlink.Header{Command: cmd, Version: 1}, Data: data}
	}
	steps := []func() ([]genetlink.Message, error){
		func() ([]genetlink.Message, error) {
			return []genetlink.Message{msg(cmdEvPayloadSeen, b), msg(200, b), msg(cmdEvSendTimeout, b)}, nil
		},
		func() ([]genetlink.Message, error) { return nil, os.NewSyscallError("recvmsg", unix.ENOBUFS) },
		func() ([]genetlink.Message, error) {
			return []genetlink.Message{msg(cmdEvTrigger, []byte{1, 0, 0, 0})}, nil
		},
		func() ([]genetlink.Message, error) { return nil, unix.EBADF },
	}
	conn := genltest.Dial(genltest.ServeFamily(testFamily,
		func(genetlink.Message, netlink.Message) ([]genetlink.Message, error) {
			step := steps[0]
			steps = steps[1:]
			return step()
		}))
	var joined uint32
	s, err := newSubscription(conn, func(_ *genetlink.Conn, group uint32) error {
		joined = group
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if joined != testFamily.Groups[0].ID {
		t.Errorf("joined group %d, want %d", joined, testFamily.Groups[0].ID)
	}
	for _, want := range []Event{PayloadSeen{99, 5, 8}, SendTimeout{99, 5, 8}, Lost{}} {
		got, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	if got, err := s.Next(); err != nil {
		t.Fatal(err)
	} else if m, ok := got.(Malformed); !ok || m.Command != cmdEvTrigger {
		t.Errorf("event %+v, want Malformed", got)
	}
	if _, err := s.Next(); !errors.Is(err, unix.EBADF) {
		t.Errorf("closed socket: %v", err)
	}
}

func TestSubscriptionNeedsTheGroup(t *testing.T) {
	f := testFamily
	f.Groups = nil
	_, err := newSubscription(genltest.Dial(genltest.ServeFamily(f, nil)), nil)
	if err == nil || err.Error() != `module shim6 has no group "events"` {
		t.Errorf("error %v", err)
	}
}
