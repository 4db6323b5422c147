// SPDX-License-Identifier: MIT

package main

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"shim6/internal/cga"
)

// An output is where the result of a search goes. An empty path is not written.
type output struct {
	params  string
	key     string // of a new key
	replace bool   // the parameter file is there and shall be replaced
}

// check tells before a search, which may take an hour, what would spoil its result.
func (o *output) check() error {
	for _, path := range []string{o.params, o.key} {
		if path == "" || path == o.params && o.replace {
			continue
		}
		if err := checkNew(path); err != nil {
			return err
		}
	}
	return nil
}

// write writes both files or none.
func (o *output) write(p *cga.Params, newKey *rsa.PrivateKey) error {
	if newKey != nil {
		if err := cga.WriteKey(o.key, newKey); err != nil {
			return err
		}
	}
	var err error
	switch {
	case o.params == "":
	case o.replace:
		err = cga.ReplaceParams(o.params, p)
	default:
		err = cga.WriteParams(o.params, p)
	}
	if err != nil && newKey != nil {
		err = errors.Join(err, os.Remove(o.key))
	}
	return err
}

// checkNew tells why a file cannot be made.
func checkNew(path string) error {
	dir := filepath.Dir(path)
	st, err := os.Stat(dir)
	if err != nil {
		return withHint(err, "make the directory first, with mode 700")
	}
	if !st.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("write to %s: %w", dir, err)
	}
	_, err = os.Lstat(path)
	if err == nil {
		return withHint(fmt.Errorf("%s exists and is not overwritten", path), "choose another name, or move the file away")
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
