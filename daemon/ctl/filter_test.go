// SPDX-License-Identifier: MIT

package ctl

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestFilter(t *testing.T) {
	exploring, failed := sample(), sample()
	exploring.Tag, exploring.Reap, exploring.Current.Local = "000000000001", "Exploring", netip.MustParseAddr("2001:db8:a2::1")
	failed.Tag, failed.State, failed.ULIDPeer = "", "E-FAILED", netip.MustParseAddr("2001:db8:b2::1")
	failed.Current.Peer = failed.ULIDPeer
	path, _ := serve(t, &memory{contexts: []Context{sample(), exploring, failed}})
	c := NewClient(path)
	defer c.Close()
	for name, tc := range map[string]struct {
		words [5]string
		want  string
	}{
		"nothing":            {[5]string{}, "112233445566 000000000001 "},
		"tag":                {[5]string{"1"}, "000000000001"},
		"state in any case":  {[5]string{1: "established"}, "112233445566 000000000001"},
		"state with a dash":  {[5]string{1: "e-failed"}, ""},
		"reap":               {[5]string{2: "EXPLORING"}, "000000000001"},
		"local locator":      {[5]string{3: "2001:db8:a2::/48"}, "000000000001"},
		"local ULID":         {[5]string{3: "2001:db8:a1::1"}, "112233445566 000000000001 "},
		"peer":               {[5]string{4: "2001:db8:b1::/48"}, "112233445566 000000000001"},
		"all of it":          {[5]string{"1", "ESTABLISHED", "Exploring", "2001:db8:a2::1", "2001:db8:b1::1"}, "000000000001"},
		"nothing that holds": {[5]string{1: "E-FAILED", 2: "Operational"}, "none"},
	} {
		f, err := ParseFilter(tc.words[0], tc.words[1], tc.words[2], tc.words[3], tc.words[4])
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		list, err := c.Contexts(t.Context(), f)
		var tags []string
		for _, c := range list {
			tags = append(tags, c.Tag)
		}
		got := strings.Join(tags, " ")
		if len(list) == 0 {
			got = "none"
		}
		if err != nil || got != tc.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, tc.want)
		}
	}
}

func TestFilterErrors(t *testing.T) {
	for query, want := range map[string]string{
		"contexts?tag=x":                              `"x" is not a context tag`,
		"contexts?state=DEAD":                         `state "DEAD" is none of I1-SENT, I2-SENT, ESTABLISHED, I2BIS-SENT, E-FAILED, NO-SUPPORT`,
		"contexts?reap=up":                            `REAP state "up" is none of Operational, Exploring, InboundOk`,
		"paths?peer=b":                                `"b" is neither an address nor a prefix`,
		"contexts?pear=::1":                           `query: "pear" is none of tag, state, reap, local, peer`,
		"log?tag=":                                    "",
		"log?tag=8000000000000":                       `is not a context tag`,
		"log?since=yesterday":                         `since: parsing time`,
		"log?peer=b":                                  `peer: ParseAddr`,
		"log?from=1":                                  `query: "from" is none of tag, peer, since`,
		"explain":                                     `peer: "" is not an IPv6 address`,
		"explain?peer=192.0.2.1":                      `peer: "192.0.2.1" is not an IPv6 address`,
		"explain?peer=fe80::1%25eth0":                 `peer: "fe80::1%eth0" is not an IPv6 address`,
		"explain?peer=2001:db8::1&port=0":             `port: "0" is not a port`,
		"explain?peer=2001:db8::1&port=65536":         `port: "65536" is not a port`,
		"explain?peer=2001:db8::1&port=1&proto=tcp":   `query: "proto" is none of peer, port`,
		"explain?peer=2001:db8::1&port=443&port=junk": "",
	} {
		path, _ := serve(t, &memory{contexts: []Context{sample()}})
		status, body := raw(t, path, "GET /v1/"+query+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		body = strings.ReplaceAll(body, `\"`, `"`)
		switch {
		case want == "" && status != http.StatusOK, want != "" && (status != http.StatusBadRequest || !strings.Contains(body, want)):
			t.Errorf("%s: %d %s, want %s", query, status, body, want)
		}
	}
}

// The log holds the last events, whoever reads or not, and strangers cannot push them out.
func TestLog(t *testing.T) {
	path, events := serve(t, new(memory))
	c := NewClient(path)
	defer c.Close()
	at := func(i int) time.Time { return start.Add(time.Duration(i) * time.Second) }
	const n = logSize + 10
	for i := range n {
		events.Publish(Event{Time: at(i), Event: EventStateChanged, Tag: FormatTag(uint64(1 + i%2)), ULIDPeer: addrB})
		events.Publish(Event{Time: at(i), Event: EventDropped, Src: addrA})
	}
	all, err := c.Log(t.Context(), LogFilter{})
	if err != nil || len(all) != logSize || !all[0].Time.Equal(at(n-logSize)) || !all[logSize-1].Time.Equal(at(n-1)) {
		t.Fatalf("%d events, %v", len(all), err)
	}
	for name, tc := range map[string]struct {
		f    LogFilter
		want int
	}{
		"tag":          {LogFilter{Tag: FormatTag(1)}, logSize / 2},
		"peer":         {LogFilter{Peer: addrB}, logSize},
		"another peer": {LogFilter{Peer: addrA}, 0},
		"since":        {LogFilter{Since: at(n - 5)}, 5},
	} {
		if got, err := c.Log(t.Context(), tc.f); err != nil || len(got) != tc.want {
			t.Errorf("%s: %d events, %v; want %d", name, len(got), err, tc.want)
		}
	}
}

func TestLoss(t *testing.T) {
	for _, tc := range []struct {
		p    Path
		want float64
		ok   bool
	}{
		{Path{}, 0, false},
		{Path{Probes: 1, Awaited: 1}, 0, false},
		{Path{Probes: 5, Answered: 3, Awaited: 1}, 0.25, true},
		{Path{Probes: 5, Answered: 5}, 0, true},
		{Path{Probes: 1, Answered: 5, Awaited: 9}, 0, false},
	} {
		if got, ok := tc.p.Loss(); got != tc.want || ok != tc.ok {
			t.Errorf("%+v: %v %v", tc.p, got, ok)
		}
	}
}
