// SPDX-License-Identifier: MIT

package config

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// limitMax is the most that any limit may be.
const limitMax = 1000000

// entriesMax bounds the entries whose names are the user's choice.
const entriesMax = 256

// A key is one entry of a mapping: it has a setter, or keys below it, or entries with names of the user's choice.
type key struct {
	set  func(*yaml.Node) error
	keys map[string]key
	// each takes the name of an entry and gives the keys below it.
	each    func(name string) (map[string]key, error)
	example string // of an entry
}

func (c *Config) keys() map[string]key {
	return map[string]key{
		"server":       {set: boolean(&c.Server)},
		"keys":         {set: absolute(&c.Keys)},
		"socket":       {set: absolute(&c.Socket)},
		"socket_group": {set: text(&c.SocketGroup)},
		"state":        {set: absolute(&c.State)},
		"send_timeout": {set: sendTimeout(&c.SendTimeout)},
		"teardown":     {set: teardown(&c.Teardown)},
		"fail_back":    {set: failBack(&c.FailBack)},
		"hints": {keys: map[string]key{
			"link":  {set: boolean(&c.Hints.Link)},
			"route": {set: boolean(&c.Hints.Route)},
			"icmp":  {set: boolean(&c.Hints.ICMP)},
			"rto":   {set: boolean(&c.Hints.RTO)},
		}},
		"heuristic":   {set: heuristic(&c.Heuristic)},
		"tcp_kick":    {set: boolean(&c.TCPKick)},
		"gso":         {set: oneOf(&c.GSO, GSOAuto, GSOSegment, GSOWhole)},
		"gso_devices": {set: gsoDevices(&c.GSODevices)},
		"mark_mask":   {set: mask(&c.MarkMask)},
		"interfaces":  {set: patterns(&c.Interfaces)},
		"preferences": preferences(&c.Preferences, true),
		"peers":       peers(&c.Peers),
		"metrics":     {set: loopback(&c.Metrics)},
		"log": {keys: map[string]key{
			"level":  {set: oneOf(&c.Log.Level, "debug", "info", "warn", "error")},
			"format": {set: oneOf(&c.Log.Format, "text", "json")},
		}},
		"limits": {keys: map[string]key{
			"contexts":      {set: integer(&c.Limits.Contexts, 1, limitMax)},
			"verifying":     {set: integer(&c.Limits.Verifying, 1, limitMax)},
			"waiting":       {set: integer(&c.Limits.Waiting, 1, limitMax)},
			"r1_rate":       {set: integer(&c.Limits.R1Rate, 1, limitMax)},
			"verify_rate":   {set: integer(&c.Limits.VerifyRate, 1, limitMax)},
			"recovery_rate": {set: integer(&c.Limits.RecoveryRate, 1, limitMax)},
			"error_rate":    {set: integer(&c.Limits.ErrorRate, 1, limitMax)},
		}},
	}
}

func sendTimeout(to *time.Duration) func(*yaml.Node) error {
	return duration(to, 100*time.Millisecond, time.Hour)
}

func teardown(to *time.Duration) func(*yaml.Node) error {
	return orZero(to, 10*time.Second, 365*24*time.Hour)
}

func failBack(to *time.Duration) func(*yaml.Node) error {
	return orZero(to, time.Second, 24*time.Hour)
}

// EntryKeys returns the keys of an entry of "peers" or "preferences", in order.
func EntryKeys(of string) []string {
	keys, err := Default().keys()[of].each("2001:db8::/32")
	if err != nil {
		panic(err) // a prefix is the name of an entry of either
	}
	return slices.Sorted(maps.Keys(keys))
}

// KeyNames returns every key that a file may have, in order, those of a nested mapping as "log.level".
func KeyNames() []string {
	return slices.Sorted(slices.Values(keyNames("", Default().keys())))
}

func keyNames(prefix string, keys map[string]key) []string {
	var names []string
	for name, k := range keys {
		if k.keys != nil {
			names = append(names, keyNames(prefix+name+".", k.keys)...)
		} else {
			names = append(names, prefix+name)
		}
	}
	return names
}

func scalar(n *yaml.Node) (string, error) {
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", fmt.Errorf("a single value is needed, not a %s", kindName(n))
	case n.Tag == "!!null":
		return "", errors.New("has no value")
	}
	return n.Value, nil
}

func text(to *string) func(*yaml.Node) error {
	return func(n *yaml.Node) (err error) {
		*to, err = scalar(n)
		return err
	}
}

func absolute(to *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		s, err := scalar(n)
		switch {
		case err != nil:
			return err
		case !filepath.IsAbs(s):
			return fmt.Errorf("%q is not an absolute path", s)
		case strings.ContainsRune(s, 0):
			return fmt.Errorf("%q is not a path", s)
		}
		*to = filepath.Clean(s)
		return nil
	}
}

func duration(to *time.Duration, least, most time.Duration) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		s, err := scalar(n)
		if err != nil {
			return err
		}
		d, err := time.ParseDuration(s)
		switch {
		case err != nil && n.Tag == "!!int":
			return fmt.Errorf("%s has no unit: write %ss or %sms", s, s, s)
		case err != nil:
			return fmt.Errorf("%q is not a duration such as 15s or 10m", s)
		case d < least || d > most:
			return fmt.Errorf("%s is out of range: %s to %s", s, short(least), short(most))
		}
		*to = d
		return nil
	}
}

// orZero is a duration within bounds that are those of the protocol engine, or zero.
func orZero(to *time.Duration, least, most time.Duration) func(*yaml.Node) error {
	set := duration(to, least, most)
	return func(n *yaml.Node) error {
		if d, err := time.ParseDuration(n.Value); err == nil && d == 0 && n.Kind == yaml.ScalarNode {
			*to = 0
			return nil
		}
		return set(n)
	}
}

// short prints a duration without the zero minutes and seconds of Duration.String.
func short(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

func boolean(to *bool) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		s, err := scalar(n)
		if err != nil {
			return err
		}
		if n.Tag != "!!bool" {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		return n.Decode(to)
	}
}

// loopback reads the address that something listens on, which nobody else's machine reaches.
func loopback(to *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		s, err := scalar(n)
		if err != nil {
			return err
		}
		if a, err := netip.ParseAddrPort(s); s != "" && (err != nil || a.Addr() != netip.IPv6Loopback()) {
			return fmt.Errorf("%q is not the loopback address with a port, such as [::1]:9556", s)
		}
		*to = s
		return nil
	}
}

func integer(to *int, least, most int) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		s, err := scalar(n)
		if err != nil {
			return err
		}
		var v int
		if n.Tag != "!!int" || n.Decode(&v) != nil {
			return fmt.Errorf("%q is not a whole number", s)
		}
		if v < least || v > most {
			return fmt.Errorf("%d is out of range: %d to %d", v, least, most)
		}
		*to = v
		return nil
	}
}

func mask(to *uint32) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		s, err := scalar(n)
		if err != nil {
			return err
		}
		if n.Tag != "!!int" || n.Decode(to) != nil {
			return fmt.Errorf("%q is not a mask of 32 bits such as 0xff", s)
		}
		return nil
	}
}

func oneOf[T ~string](to *T, allowed ...T) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		s, err := scalar(n)
		if err != nil {
			return err
		}
		if !slices.Contains(allowed, T(s)) {
			return fmt.Errorf("%q is none of %v", s, allowed)
		}
		*to = T(s)
		return nil
	}
}

// heuristicMax is the longest list of names, joined by plus signs, that the kernel module takes.
const heuristicMax = 127

func heuristic(to *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		s, err := scalar(n)
		if err != nil {
			return err
		}
		if s == "" || len(s) > heuristicMax || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("%q is not the name of a heuristic: 1 to %d printable characters", s, heuristicMax)
		}
		*to = s
		return nil
	}
}

// patternsMax bounds the list of interfaces.
const patternsMax = 256

func patterns(to *[]string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode {
			return fmt.Errorf("a list such as [eth0, \"wlan*\"] is needed, not a %s", kindName(n))
		}
		if len(n.Content) > patternsMax {
			return fmt.Errorf("%d entries, at most %d", len(n.Content), patternsMax)
		}
		var list []string
		for _, e := range n.Content {
			s, err := scalar(e)
			if err != nil {
				return err
			}
			if _, err := path.Match(s, ""); err != nil || s == "" {
				return fmt.Errorf("%q is not an interface name or pattern", s)
			}
			list = append(list, s)
		}
		*to = list
		return nil
	}
}
