// SPDX-License-Identifier: MIT

package cases

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"shim6/test/lab/topo"
)

// An incident is a change of a context, or a Keepalive, as the simulator writes it.
type incident struct {
	host      string
	at        time.Duration // since the script's start
	text      string
	keepalive bool
}

// slack is how much earlier or later the lab may be. A heuristic takes some packets to want a context, an operator's program
// some time to start, and daemons look for idle contexts twice a minute.
func (x incident) slack() time.Duration {
	switch {
	case strings.HasSuffix(x.text, "(context wanted)"), strings.HasSuffix(x.text, "(deleted)"):
		return 2 * time.Second
	case strings.HasSuffix(x.text, "(idle)"):
		return 31 * time.Second
	}
	return 150 * time.Millisecond
}

// parseOutput reads the simulator's output. What packets were sent is not looked at, but for Keepalives.
func parseOutput(output string) (list []incident, err error) {
	for line := range strings.Lines(output) {
		f := strings.Fields(line)
		if len(f) < 3 {
			return nil, fmt.Errorf("not an event: %q", line)
		}
		seconds, err := strconv.ParseFloat(f[0], 64)
		if err != nil {
			return nil, fmt.Errorf("not an event: %q: %w", line, err)
		}
		x := incident{host: f[1], at: time.Duration(seconds * float64(time.Second)), text: strings.Join(f[2:], " ")}
		x.keepalive = strings.HasPrefix(x.text, "sends Keepalive")
		if x.keepalive || !strings.HasPrefix(x.text, "sends ") {
			list = append(list, x)
		}
	}
	return list, nil
}

// readLog reads what happened from a daemon's log.
func readLog(host, path string, net *topo.Network, start time.Time) (list []incident, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var l struct {
			Time          time.Time
			Msg           string
			ULIDPeer      string `json:"ulid_peer"`
			From, To, Why string
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, lines.Text(), err)
		}
		x := incident{host: host, at: l.Time.Sub(start)}
		peer := net.Short(l.ULIDPeer)
		switch l.Msg {
		case "state changed":
			x.text = fmt.Sprintf("context with %s: %s to %s (%s)", peer, l.From, l.To, l.Why)
		case "reap state changed":
			x.text = fmt.Sprintf("REAP with %s: %s to %s (%s)", peer, l.From, l.To, l.Why)
		case "path changed":
			pair := func(s string) string { return strings.ReplaceAll(net.Short(s), " -> ", ">") }
			x.text = fmt.Sprintf("path to %s: %s to %s", peer, pair(l.From), pair(l.To))
		default:
			continue
		}
		list = append(list, x)
	}
	return list, lines.Err()
}

func between(list []incident, from, to time.Duration) (some []incident) {
	for _, x := range list {
		if x.at >= from && x.at < to {
			some = append(some, x)
		}
	}
	return some
}

// of gives a host's changes.
func of(host string, list []incident) (some []incident) {
	for _, x := range list {
		if x.host == host && !x.keepalive {
			some = append(some, x)
		}
	}
	return some
}

func describe(list []incident) string {
	texts := make([]string, len(list))
	for i, x := range list {
		texts[i] = x.text
	}
	return or(strings.Join(texts, ", "), "nothing")
}
