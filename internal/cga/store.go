// SPDX-License-Identifier: MIT

package cga

import (
	"errors"
	"fmt"
	"maps"
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
	keys    map[string]Signer
}

// LoadDir reads every NAME.pem (private key, see LoadPrivateKey) and NAME.pds (see LoadParams) of a directory. A .pds
// belongs to the .pem that has its public key, whatever their names; one without a key still serves HBAs. A file that
// cannot be used does not hide the others: the store is never nil, and the error joins one error for each such file.
func LoadDir(dir string) (*Store, error) {
	keys, err := LoadKeys(dir)
	var gone dirError
	if errors.As(err, &gone) {
		return &Store{}, err
	}
	s, paramsErr := LoadParamsDir(dir, keys)
	return s, errors.Join(err, paramsErr)
}

// A dirError says that a directory cannot be read at all.
type dirError struct{ error }

func (e dirError) Unwrap() error { return e.error }

func readDir(dir string) ([]os.DirEntry, error) {
	files, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, dirError{fmt.Errorf("key directory: %w", err)}
	}
	return files, nil
}

// LoadKeys reads every NAME.pem of a directory, as LoadDir does, and gives the keys by their names.
func LoadKeys(dir string) (map[string]Signer, error) {
	keys := make(map[string]Signer)
	files, err := readDir(dir)
	if err != nil {
		return keys, err
	}
	var errs []error
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".pem")
		if !ok || strings.HasPrefix(name, ".") {
			continue
		}
		path := filepath.Join(dir, f.Name())
		key, err := LoadPrivateKey(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if keys[name], err = NewSigner(key); err != nil {
			delete(keys, name)
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
	}
	return keys, errors.Join(errs...)
}

// LoadParamsDir is LoadDir with keys, by their names, that need not be in the directory.
func LoadParamsDir(dir string, keys map[string]Signer) (*Store, error) {
	s := &Store{keys: keys}
	files, err := readDir(dir)
	if err != nil {
		return s, err
	}
	owners := make(map[string]string) // SubjectPublicKeyInfo to key ID
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		spki := string(keys[name].PublicKey())
		if _, dup := owners[spki]; !dup {
			owners[spki] = name
		}
	}
	var errs []error
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
func (s *Store) Key(keyID string) Signer {
	return s.keys[keyID]
}

// KeyIDs gives the IDs of the keys, sorted.
func (s *Store) KeyIDs() []string {
	return slices.Sorted(maps.Keys(s.keys))
}
