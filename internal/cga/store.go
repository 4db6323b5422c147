// SPDX-License-Identifier: MIT

package cga

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// An Entry is a parameter file of a Store.
type Entry struct {
	Name   string // file name without .pds
	Params *Params
	KeyID  string // name of the key that signs for it, empty when the store has none
}

// A Store holds the keys and parameters of this host. It does not change after LoadDir and may be used concurrently.
type Store struct {
	entries []Entry
	keys    map[string]*rsa.PrivateKey
}

// LoadDir reads every NAME.pem (private key, see LoadPrivateKey) and NAME.pds (see LoadParams) of a directory. A .pds
// belongs to the .pem that has its public key, whatever their names; one without a key still serves HBAs. A file that
// cannot be used does not hide the others: the store is never nil, and the error joins one error for each such file.
func LoadDir(dir string) (*Store, error) {
	s := &Store{keys: make(map[string]*rsa.PrivateKey)}
	files, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return s, fmt.Errorf("key directory: %w", err)
	}
	var errs []error
	owners := make(map[string]string) // SubjectPublicKeyInfo to key ID
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".pem")
		if !ok || strings.HasPrefix(name, ".") {
			continue
		}
		key, spki, err := loadPair(filepath.Join(dir, f.Name()))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.keys[name] = key
		if _, dup := owners[string(spki)]; !dup {
			owners[string(spki)] = name
		}
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".pds")
		if !ok || strings.HasPrefix(name, ".") {
			continue
		}
		path := filepath.Join(dir, f.Name())
		p, err := LoadParams(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		mp, err := p.MultiPrefix()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			continue
		}
		e := Entry{Name: name, Params: p}
		if mp == nil || mp.P {
			e.KeyID = owners[string(p.PublicKey)]
			if s.keys[name] != nil && e.KeyID == "" {
				errs = append(errs, fmt.Errorf("%s: its public key is not that of %s.pem", path, name))
				continue
			}
		}
		s.entries = append(s.entries, e)
	}
	return s, errors.Join(errs...)
}

func loadPair(path string) (*rsa.PrivateKey, []byte, error) {
	key, err := LoadPrivateKey(path)
	if err != nil {
		return nil, nil, err
	}
	spki, err := MarshalPublicKey(&key.PublicKey)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, spki, nil
}

// Entries gives the parameter files in the order of their names.
func (s *Store) Entries() []Entry {
	return slices.Clone(s.entries)
}

// ParamsFor gives the parameters that prove addr, with its prefix and collision count, and the ID of the key that signs
// for them, empty when the store has none.
func (s *Store) ParamsFor(addr netip.Addr) (p *Params, keyID string, ok bool) {
	for _, e := range s.entries {
		if p, err := e.Params.For(addr); err == nil {
			return p, e.KeyID, true
		}
	}
	return nil, "", false
}

// Key gives a key by its ID, nil when there is none.
func (s *Store) Key(keyID string) *rsa.PrivateKey {
	return s.keys[keyID]
}
