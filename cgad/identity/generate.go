// SPDX-License-Identifier: MIT

package identity

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"shim6/cgad/config"
	"shim6/internal/cga"
)

// dirMode is that of a key directory that is made.
const dirMode = 0o700

// Init makes a key and its parameters if the directory has no key, and parameters if its default key has none. It gives the
// files that it made. Parameters that not everybody may read are made readable.
func Init(ctx context.Context, dir string) (made []string, err error) {
	if err := publish(dir); err != nil {
		return nil, err
	}
	d, err := Open(dir)
	if err != nil {
		return nil, err
	}
	name := d.defaultKey(config.Default())
	if len(d.keys) == 0 {
		path, err := newKey(dir, name)
		if err != nil {
			return nil, err
		}
		made = append(made, path)
		if d, err = Open(dir); err != nil {
			return made, err
		}
	}
	if d.keyParams(name, 0) != nil {
		return made, nil
	}
	_, path, err := d.generateKeyParams(ctx, name, DefaultSec)
	if err != nil {
		return made, err
	}
	return append(made, path), nil
}

func newKey(dir, name string) (string, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return "", err
	}
	key, err := cga.NewKey(DefaultBits)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name+keySuffix)
	return path, cga.WriteKey(path, key)
}

// Generate makes the parameters of an identity of Config, writes them to the directory and gives them. In a directory
// without any key it makes the default key first.
func Generate(ctx context.Context, c *config.Config, name string) (*cga.Params, error) {
	d, err := Open(c.Keys)
	if err != nil && len(d.keys) == 0 {
		return nil, err
	}
	if name == DefaultName && len(d.keys) == 0 {
		if _, err := newKey(c.Keys, name); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("make a key: %w", err)
		}
		if d, err = Open(c.Keys); err != nil {
			return nil, err
		}
	}
	return d.params(ctx, c, name)
}

// GenerateWith is Generate for keys that are not read as cga.LoadDir does, and makes none.
func GenerateWith(ctx context.Context, load func(path string) (*cga.Store, error), c *config.Config, name string) (*cga.Params, error) {
	d, err := OpenWith(load, c.Keys)
	if err != nil && len(d.keys) == 0 {
		return nil, err
	}
	return d.params(ctx, c, name)
}

// params finds the parameters of an identity of Config, or makes them.
func (d *Directory) params(ctx context.Context, c *config.Config, name string) (*cga.Params, error) {
	if set, ok := strings.CutPrefix(name, setPrefix); ok {
		for _, s := range c.Sets {
			if s.Name == set {
				return d.generateSet(ctx, s)
			}
		}
		return nil, fmt.Errorf("there is no set %s", set)
	}
	if p := d.keyParams(name, c.Sec); p != nil {
		return p, nil
	}
	p, _, err := d.generateKeyParams(ctx, name, c.Sec)
	return p, err
}

func (d *Directory) publicKey(name string) ([]byte, error) {
	key := d.store.Key(name)
	if key == nil {
		return nil, fmt.Errorf("there is no usable key %s", filepath.Join(d.path, name+keySuffix))
	}
	return key.PublicKey(), nil
}

func (d *Directory) generateKeyParams(ctx context.Context, name string, sec uint8) (*cga.Params, string, error) {
	spki, err := d.publicKey(name)
	if err != nil {
		return nil, "", err
	}
	return d.generate(ctx, name, cga.GenerateOptions{PublicKey: spki, Sec: sec})
}

func (d *Directory) generateSet(ctx context.Context, s config.Set) (*cga.Params, error) {
	if p := d.setParams(s); p != nil {
		return p, nil
	}
	o := cga.GenerateOptions{Sec: s.Sec, Set: subnets(s.Prefixes)}
	o.Prefix = o.Set[0]
	if s.Key == "" {
		o.PublicKey, o.Nonce, o.Field = cga.NewNonce(), true, cga.FieldNonce
	} else {
		var err error
		if o.PublicKey, err = d.publicKey(s.Key); err != nil {
			return nil, err
		}
	}
	p, _, err := d.generate(ctx, s.Name, o)
	return p, err
}

// generate searches with one worker: the machine has other things to do, and addresses of other identities do not wait.
func (d *Directory) generate(ctx context.Context, name string, o cga.GenerateOptions) (*cga.Params, string, error) {
	o.Threads = 1
	p, err := cga.Generate(ctx, o)
	if err != nil {
		return nil, "", err
	}
	if err := os.MkdirAll(d.path, dirMode); err != nil {
		return nil, "", err
	}
	path, err := freeName(d.path, name)
	if err != nil {
		return nil, "", err
	}
	return p, path, cga.WriteParams(path, p)
}
