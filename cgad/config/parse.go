// SPDX-License-Identifier: MIT

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"shim6/cgad/autoconf"
	"shim6/internal/cga"
)

// maxSize bounds the file that is read, maxList every list and mapping in it.
const (
	maxSize = 1 << 20
	maxList = 256
)

// A raw is the file as it is written. Its defaults are filled in before.
type raw struct {
	Keys       string            `yaml:"keys"`
	Socket     string            `yaml:"socket"`
	Metrics    string            `yaml:"metrics"`
	State      string            `yaml:"state"`
	Interfaces []string          `yaml:"interfaces"`
	Routers    []string          `yaml:"routers"`
	Key        string            `yaml:"key"`
	Sec        int               `yaml:"sec"`
	Links      map[string]string `yaml:"links"`
	Addresses  map[string]string `yaml:"addresses"`
	Sets       map[string]rawSet `yaml:"sets"`
	Routing    bool              `yaml:"routing"`
	TableBase  int64             `yaml:"table_base"`
	Existing   string            `yaml:"existing"`
	OnStop     string            `yaml:"on_stop"`
	Log        rawLog            `yaml:"log"`
	Limits     rawLimits         `yaml:"limits"`
}

type rawSet struct {
	Prefixes []string `yaml:"prefixes"`
	Key      string   `yaml:"key"`
	Sec      *int     `yaml:"sec"`
}

type rawLog struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

type rawLimits struct {
	Routers  int `yaml:"routers"`
	Prefixes int `yaml:"prefixes"`
	Routes   int `yaml:"routes"`
}

func newRaw(c *Config) raw {
	return raw{
		Keys: c.Keys, Socket: c.Socket, State: c.State, Sec: int(c.Sec), Routing: c.Routing, TableBase: int64(c.TableBase),
		Existing: string(c.Existing), OnStop: string(c.OnStop), Log: rawLog(c.Log), Limits: rawLimits(c.Limits),
	}
}

// KeyNames returns the names of all keys of a file, those inside others without the name of the outer one.
func KeyNames() []string {
	var names []string
	for _, t := range []reflect.Type{reflect.TypeFor[raw](), reflect.TypeFor[rawSet](), reflect.TypeFor[rawLog](), reflect.TypeFor[rawLimits]()} {
		for i := range t.NumField() {
			names = append(names, t.Field(i).Tag.Get("yaml"))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Parse reads a configuration. Its error joins everything that is wrong, one line each, with the name in front.
func Parse(r io.Reader, name string) (*Config, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(b) > maxSize {
		return nil, fmt.Errorf("%s: larger than %d octets", name, maxSize)
	}
	c := Default()
	in := newRaw(c)
	if err := decode(b, &in); err != nil {
		return nil, prefixed(name, err)
	}
	p := parser{}
	p.config(&in, c)
	if len(p.errs) > 0 {
		return nil, prefixed(name, p.errs...)
	}
	return c, nil
}

func prefixed(name string, errs ...error) error {
	for i, err := range errs {
		errs[i] = fmt.Errorf("%s: %w", name, err)
	}
	return errors.Join(errs...)
}

// inType is how the YAML library names the Go type that lacks a key.
var inType = regexp.MustCompile(`field (\S+) not found in type config\.\w+`)

func decode(b []byte, in *raw) error {
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	err := d.Decode(in)
	if errors.Is(err, io.EOF) {
		return nil
	}
	var te *yaml.TypeError
	if errors.As(err, &te) {
		return errors.New(inType.ReplaceAllString(strings.Join(te.Errors, "; "), `unknown key "$1"`))
	}
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return errors.New("more than one YAML document")
	}
	return nil
}

// A parser collects what is wrong.
type parser struct {
	errs []error
}

func (p *parser) fail(key, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf(key+": "+format, args...))
}

func (p *parser) config(in *raw, c *Config) {
	c.Keys = p.absolute("keys", in.Keys)
	c.Socket = p.absolute("socket", in.Socket)
	c.State = p.absolute("state", in.State)
	c.Metrics = p.loopback("metrics", in.Metrics)
	c.Interfaces = p.patterns(in.Interfaces)
	c.Routers = p.routers(in.Routers)
	c.Key = p.keyName("key", in.Key)
	c.Sec = p.sec("sec", in.Sec)
	c.Links = p.links(in.Links)
	c.Sets = p.sets(in)
	c.Addresses = p.addresses(in.Addresses, c.Sets)
	c.Routing = in.Routing
	c.TableBase = uint32(p.within("table_base", in.TableBase, 256, 1<<31))
	c.Existing = autoconf.Existing(p.oneOf("existing", in.Existing, string(autoconf.Keep), string(autoconf.DeprecateThem), string(autoconf.RemoveExisting)))
	c.OnStop = OnStop(p.oneOf("on_stop", in.OnStop, string(KeepAddresses), string(RemoveAddresses)))
	c.Log.Level = p.oneOf("log.level", in.Log.Level, "debug", "info", "warn", "error")
	c.Log.Format = p.oneOf("log.format", in.Log.Format, "auto", "text", "json", "journal")
	c.Limits = autoconf.Limits{
		Routers:  int(p.within("limits.routers", int64(in.Limits.Routers), 1, 64)),
		Prefixes: int(p.within("limits.prefixes", int64(in.Limits.Prefixes), 1, 64)),
		Routes:   int(p.within("limits.routes", int64(in.Limits.Routes), 0, 256)),
	}
}

func (p *parser) absolute(key, s string) string {
	if !filepath.IsAbs(s) || strings.ContainsRune(s, 0) {
		p.fail(key, "%q is not an absolute path", s)
	}
	return filepath.Clean(s)
}

// loopback checks an address with a port that only this host can reach.
func (p *parser) loopback(key, s string) string {
	if s == "" {
		return ""
	}
	a, err := netip.ParseAddrPort(s)
	switch {
	case err != nil:
		p.fail(key, "%q is not an address with a port, such as \"[::1]:9533\"", s)
	case !a.Addr().IsLoopback() || a.Port() == 0:
		p.fail(key, "%q is not a port of a loopback address", s)
	}
	return s
}

func (p *parser) patterns(list []string) []string {
	p.short("interfaces", len(list))
	for _, s := range list {
		if _, err := path.Match(s, ""); err != nil || s == "" {
			p.fail("interfaces", "%q is not an interface name or pattern", s)
		}
	}
	return list
}

func (p *parser) short(key string, n int) {
	if n > maxList {
		p.fail(key, "%d entries, at most %d", n, maxList)
	}
}

func (p *parser) routers(list []string) []netip.Addr {
	p.short("routers", len(list))
	var out []netip.Addr
	for _, s := range list {
		a, err := netip.ParseAddr(s)
		if err != nil || !a.Is6() || !a.IsLinkLocalUnicast() || a.Zone() != "" {
			p.fail("routers", "%q is not a link-local IPv6 address", s)
			continue
		}
		out = append(out, a)
	}
	return out
}

// keyName checks the name of a key, which is that of a file.
func (p *parser) keyName(key, s string) string {
	if strings.ContainsAny(s, "/\x00") || strings.HasPrefix(s, ".") {
		p.fail(key, "%q is not the name of a key", s)
	}
	return s
}

func (p *parser) sec(key string, sec int) uint8 {
	if sec < 0 || sec > cga.MaxSec {
		p.fail(key, "%d is out of range: 0 to %d", sec, cga.MaxSec)
	}
	return uint8(sec)
}

func (p *parser) links(in map[string]string) map[string]string {
	p.short("links", len(in))
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if in[name] == "" {
			p.fail("links."+name, "has no value")
		}
		p.keyName("links."+name, in[name])
	}
	return in
}

// addresses checks keys by prefix, or by an address in it.
func (p *parser) addresses(in map[string]string, sets []Set) []Address {
	p.short("addresses", len(in))
	var list []Address
	seen := make(map[netip.Prefix]bool)
	for _, name := range slices.Sorted(maps.Keys(in)) {
		key := "addresses." + name
		a := Address{Key: p.keyName(key, in[name])}
		if a.Key == "" {
			p.fail(key, "has no value")
		}
		var ok bool
		if a.Prefix, ok = subnet(name); !ok {
			p.fail(key, "is neither an IPv6 prefix of 64 bits nor a global IPv6 address")
			continue
		}
		a.Addr, _ = netip.ParseAddr(name)
		switch {
		case slices.ContainsFunc(sets, func(s Set) bool { return slices.Contains(s.Prefixes, a.Prefix) }):
			p.fail(key, "%v belongs to a set", a.Prefix)
		case seen[a.Prefix]:
			p.fail(key, "%v is there twice", a.Prefix)
		}
		seen[a.Prefix] = true
		list = append(list, a)
	}
	return list
}

// subnet gives the prefix of 64 bits that a text is, or that the address that it is lies in.
func subnet(text string) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, false
		}
		prefix, _ = addr.Prefix(64)
	}
	a := prefix.Addr()
	return prefix, a.Is6() && !a.Is4In6() && a.IsGlobalUnicast() && prefix.Bits() == 64 && prefix == prefix.Masked()
}

func (p *parser) sets(in *raw) []Set {
	p.short("sets", len(in.Sets))
	var list []Set
	owner := make(map[netip.Prefix]string)
	for _, name := range slices.Sorted(maps.Keys(in.Sets)) {
		key := "sets." + p.keyName("sets", name)
		given := in.Sets[name]
		s := Set{Name: name, Key: p.keyName(key+".key", given.Key), Sec: uint8(in.Sec)}
		if given.Sec != nil {
			s.Sec = p.sec(key+".sec", *given.Sec)
		}
		if len(given.Prefixes) == 0 {
			p.fail(key+".prefixes", "has no value")
		}
		p.short(key+".prefixes", len(given.Prefixes))
		for _, text := range given.Prefixes {
			prefix, err := netip.ParsePrefix(text)
			switch {
			case err != nil || prefix.Bits() != 64 || prefix != prefix.Masked() || !prefix.Addr().Is6():
				p.fail(key+".prefixes", "%q is not an IPv6 prefix of 64 bits", text)
			case owner[prefix] != "":
				p.fail(key+".prefixes", "%v belongs to set %s already", prefix, owner[prefix])
			default:
				owner[prefix] = name
				s.Prefixes = append(s.Prefixes, prefix)
			}
		}
		list = append(list, s)
	}
	return list
}

func (p *parser) oneOf(key, s string, allowed ...string) string {
	if !slices.Contains(allowed, s) {
		p.fail(key, "%q is none of %v", s, allowed)
	}
	return s
}

func (p *parser) within(key string, v, least, most int64) int64 {
	if v < least || v > most {
		p.fail(key, "%d is out of range: %d to %d", v, least, most)
	}
	return v
}
