// SPDX-License-Identifier: MIT

package identity

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"shim6/internal/cga"
)

// Bounds of a bundle.
const (
	bundleFiles     = 3
	bundleFileMax   = 1 << 17
	addressesSuffix = ".addresses"
)

// ErrBundle is wrapped by every error about what a bundle holds.
var ErrBundle = errors.New("bad bundle")

// A bundle is the content of a tar file that cgatool makes: parameters, the addresses that they prove, and a private key
// unless an HBA set needs none.
type bundle struct {
	name  string
	files map[string][]byte // by suffix
}

// readBundle reads a bundle and judges names and sizes alone.
func readBundle(r io.Reader) (*bundle, error) {
	b := &bundle{files: make(map[string][]byte)}
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBundle, err)
		}
		suffix := filepath.Ext(h.Name)
		name := strings.TrimSuffix(h.Name, suffix)
		switch {
		case h.Typeflag != tar.TypeReg:
			return nil, fmt.Errorf("%w: %q is not a regular file", ErrBundle, h.Name)
		case suffix != keySuffix && suffix != paramsSuffix && suffix != addressesSuffix:
			return nil, fmt.Errorf("%w: %q is none of its files", ErrBundle, h.Name)
		case name == "" || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\x00"):
			return nil, fmt.Errorf("%w: %q is not a file name", ErrBundle, h.Name)
		case b.name != "" && b.name != name:
			return nil, fmt.Errorf("%w: files of both %q and %q", ErrBundle, b.name, name)
		case b.files[suffix] != nil:
			return nil, fmt.Errorf("%w: %q is there twice", ErrBundle, h.Name)
		case h.Size > bundleFileMax:
			return nil, fmt.Errorf("%w: %q has %d octets, at most %d are allowed", ErrBundle, h.Name, h.Size, bundleFileMax)
		}
		b.name = name
		if b.files[suffix], err = io.ReadAll(t); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBundle, err)
		}
	}
	if b.files[paramsSuffix] == nil || b.files[addressesSuffix] == nil || len(b.files) > bundleFiles {
		return nil, fmt.Errorf("%w: parameters or addresses are missing", ErrBundle)
	}
	return b, nil
}

// An Imported is what came into the key directory.
type Imported struct {
	Name      string
	Made      []string // files
	Addresses []netip.Addr
	Params    *cga.Params
}

// Import verifies a bundle and puts its key and parameters into a directory. Nothing is written if anything in it does not
// fit: each address must be proved by the parameters, and they must have the key. Existing files are not changed; equal
// ones are no error.
func Import(dir string, r io.Reader) (*Imported, error) {
	b, err := readBundle(r)
	if err != nil {
		return nil, err
	}
	p, err := cga.ParseParams(b.files[paramsSuffix])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	in := &Imported{Name: b.name, Params: p}
	if in.Addresses, err = provedAddresses(b.files[addressesSuffix], p); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, err
	}
	key, err := b.key(dir)
	if err != nil {
		return nil, err
	}
	if err := fits(key, p); err != nil {
		return nil, err
	}
	return in, in.write(dir, key)
}

// provedAddresses reads addresses, one on each line, and verifies them.
func provedAddresses(text []byte, p *cga.Params) ([]netip.Addr, error) {
	var list []netip.Addr
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		addr, err := netip.ParseAddr(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBundle, err)
		}
		if _, err := p.For(addr); err != nil {
			return nil, fmt.Errorf("%w: the parameters do not prove %v: %w", ErrBundle, addr, err)
		}
		list = append(list, addr)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: there is no address", ErrBundle)
	}
	return list, nil
}

// key reads the private key by way of a file that nobody else can read, as all keys are read. It is nil when there is none.
func (b *bundle) key(dir string) (key *rsa.PrivateKey, err error) {
	if b.files[keySuffix] == nil {
		return nil, nil
	}
	f, err := os.CreateTemp(dir, ".import-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.Write(b.files[keySuffix]); err != nil {
		return nil, err
	}
	if key, err = cga.LoadPrivateKey(f.Name()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	return key, nil
}

// fits tells whether the parameters have the key, or need none.
func fits(key *rsa.PrivateKey, p *cga.Params) error {
	mp, err := p.MultiPrefix()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	if key == nil {
		if mp == nil || mp.P {
			return fmt.Errorf("%w: the private key is missing", ErrBundle)
		}
		return nil
	}
	spki, err := cga.MarshalPublicKey(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	if !bytes.Equal(spki, p.PublicKey) {
		return fmt.Errorf("%w: the private key is not that of the parameters", ErrBundle)
	}
	return nil
}

func (in *Imported) write(dir string, key *rsa.PrivateKey) error {
	if key != nil {
		path := filepath.Join(dir, in.Name+keySuffix)
		switch there, err := cga.LoadPrivateKey(path); {
		case errors.Is(err, os.ErrNotExist):
			if err := cga.WriteKey(path, key); err != nil {
				return err
			}
			in.Made = append(in.Made, path)
		case err != nil:
			return err
		case !there.Equal(key):
			return fmt.Errorf("%s: %w and holds another key", path, os.ErrExist)
		}
	}
	path := filepath.Join(dir, in.Name+paramsSuffix)
	switch there, err := cga.LoadParams(path); {
	case errors.Is(err, os.ErrNotExist):
		if err := cga.WriteParams(path, in.Params); err != nil {
			return err
		}
		in.Made = append(in.Made, path)
	case err != nil:
		return err
	case !bytes.Equal(there.Marshal(), in.Params.Marshal()):
		return fmt.Errorf("%s: %w and holds other parameters", path, os.ErrExist)
	}
	return nil
}
