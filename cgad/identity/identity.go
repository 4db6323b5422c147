// SPDX-License-Identifier: MIT

// Package identity finds the keys and CGA parameters that a configuration names in the key directory, and makes those that
// are missing. It never changes or overwrites a file.
package identity

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"shim6/cgad/autoconf"
	"shim6/cgad/config"
	"shim6/internal/cga"
	"shim6/internal/signer"
)

const (
	// DefaultName is the name of the key that is made when there is none.
	DefaultName = "default"
	// DefaultBits is its length. RFC 5533 section 16 asks for 1024 at least.
	DefaultBits = 2048
	// DefaultSec is the Sec value of the parameters that are made with it.
	DefaultSec = 1
)

const (
	keySuffix    = ".pem"
	paramsSuffix = ".pds"
	// setPrefix keeps the names of HBA sets apart from those of keys.
	setPrefix = "set/"
)

// A Directory is a key directory as it was read.
type Directory struct {
	path  string
	store *cga.Store
	keys  []string // names of usable keys, sorted
}

// Open reads a directory. One that does not exist is empty. The error joins one error for each file that cannot be used;
// the Directory has the others.
func Open(path string) (*Directory, error) { return OpenWith(cga.LoadDir, path) }

// OpenWith is Open for keys that are not read as cga.LoadDir does.
func OpenWith(load func(path string) (*cga.Store, error), path string) (*Directory, error) {
	store, err := load(path)
	d := &Directory{path: path, store: store, keys: store.KeyIDs()}
	// A signer that is not there is none of the directory's.
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, signer.ErrSigner) {
		err = nil
	}
	return d, err
}

// defaultKey gives the name of the key to use when none is named for an interface or a prefix. The key of the sets, if they
// have but one, comes before others: addresses in other prefixes then are of the same key.
func (d *Directory) defaultKey(c *config.Config) string {
	switch {
	case c.Key != "":
		return c.Key
	case setKey(c.Sets) != "":
		return setKey(c.Sets)
	case len(d.keys) == 0 || slices.Contains(d.keys, DefaultName):
		return DefaultName
	}
	return d.keys[0]
}

// setKey gives the key that makes sets CGA-compatible, if it is the same for all that have one.
func setKey(sets []config.Set) string {
	key := ""
	for _, s := range sets {
		if s.Key != "" && key != "" && s.Key != key {
			return ""
		}
		key = cmp.Or(key, s.Key)
	}
	return key
}

// Config gives the configuration of address configuration, with the parameters that there are.
func (d *Directory) Config(c *config.Config) autoconf.Config {
	a := autoconf.Config{
		Interfaces: c.Interfaces,
		Routers:    c.Routers,
		Default:    d.defaultKey(c),
		Links:      c.Links,
		Routing:    c.Routing,
		TableBase:  c.TableBase,
		Existing:   c.Existing,
		Limits:     c.Limits,
	}
	for _, s := range c.Sets {
		a.Identities = append(a.Identities, autoconf.Identity{Name: setPrefix + s.Name, Sec: s.Sec, Set: s.Prefixes, Params: d.setParams(s)})
	}
	names := []string{a.Default}
	for _, name := range c.Links {
		names = append(names, name)
	}
	if len(c.Addresses) > 0 {
		a.Prefixes = make(map[netip.Prefix]string)
	}
	for _, x := range c.Addresses {
		a.Prefixes[x.Prefix] = x.Key
		names = append(names, x.Key)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		a.Identities = append(a.Identities, autoconf.Identity{Name: name, Sec: c.Sec, Params: d.keyParams(name, c.Sec)})
	}
	return a
}

// keyParams gives the parameters of a key that are good for Sec, those of the same name first.
func (d *Directory) keyParams(name string, sec uint8) *cga.Params {
	var found *cga.Params
	for _, e := range d.store.Entries() {
		mp, err := e.Params.MultiPrefix()
		if err != nil || mp != nil || e.KeyID != name || e.Params.Strength() < sec {
			continue
		}
		if e.Name == name {
			return e.Params
		}
		if found == nil {
			found = e.Params
		}
	}
	return found
}

// setParams gives parameters with the prefixes of a set in their order, and its key if it has one.
func (d *Directory) setParams(s config.Set) *cga.Params {
	for _, e := range d.store.Entries() {
		mp, err := e.Params.MultiPrefix()
		if err != nil || mp == nil || mp.P != (s.Key != "") || e.KeyID != s.Key || e.Params.Strength() < s.Sec {
			continue
		}
		if slices.Equal(mp.Prefixes, subnets(s.Prefixes)) {
			return e.Params
		}
	}
	return nil
}

func subnets(prefixes []netip.Prefix) [][8]byte {
	var list [][8]byte
	for _, p := range prefixes {
		a := p.Addr().As16()
		list = append(list, [8]byte(a[:8]))
	}
	return list
}

// Check tells what a configuration names and the directory cannot give.
func (d *Directory) Check(c *config.Config) error {
	var errs []error
	need := func(where, name string) {
		if name != "" && d.store.Key(name) == nil && (name != DefaultName || len(d.keys) > 0) {
			errs = append(errs, fmt.Errorf("%s: there is no usable key %s", where, filepath.Join(d.path, name+keySuffix)))
		}
	}
	need("key", c.Key)
	for link, name := range c.Links {
		need("links."+link, name)
	}
	for _, s := range c.Sets {
		need("sets."+s.Name+".key", s.Key)
	}
	for _, a := range c.Addresses {
		where := "addresses." + a.Prefix.String()
		if a.Addr.IsValid() {
			where = "addresses." + a.Addr.String()
		}
		need(where, a.Key)
		if p := d.keyParams(a.Key, c.Sec); p != nil && a.Addr.IsValid() && !gives(p, c.Sec, a.Addr) {
			errs = append(errs, fmt.Errorf("%s: the parameters of key %s give other addresses", where, a.Key))
		}
	}
	return errors.Join(errs...)
}

// gives tells whether an address is what the parameters give in its prefix before any collision.
func gives(p *cga.Params, sec uint8, addr netip.Addr) bool {
	octets := addr.As16()
	q := *p
	q.Prefix, q.CollisionCount = [8]byte(octets[:8]), 0
	made, err := q.Address(sec)
	return err == nil && made == addr
}

// freeName gives a name for new parameters that no file has.
func freeName(dir, name string) (string, error) {
	for i := 1; i < 1000; i++ {
		file := name + paramsSuffix
		if i > 1 {
			file = fmt.Sprintf("%s-%d%s", name, i, paramsSuffix)
		}
		path := filepath.Join(dir, file)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return path, nil
		} else if err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("%s: too many parameter files of this name", filepath.Join(dir, name))
}
