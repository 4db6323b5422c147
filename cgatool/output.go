// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
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
	bundle  string // in place of both
	name    string // of the files in it
}

// check tells before a search, which may take an hour, what would spoil its result.
func (o *output) check() error {
	for _, path := range []string{o.params, o.key, o.bundle} {
		if path == "" || path == o.params && o.replace {
			continue
		}
		if err := checkNew(path); err != nil {
			return err
		}
	}
	return nil
}

// write writes all files or none.
func (o *output) write(r *result, key *rsa.PrivateKey, newKey bool) error {
	if o.bundle != "" {
		b, err := bundle(o.name, r, key)
		if err != nil {
			return err
		}
		return writeOnce(o.bundle, b, r.again, cga.WriteFile)
	}
	if newKey {
		if err := cga.WriteKey(o.key, key); err != nil {
			return err
		}
	}
	var err error
	switch {
	case o.params == "":
	case o.replace:
		err = cga.ReplaceParams(o.params, r.params)
	default:
		err = writeOnce(o.params, r.params.Marshal(), r.again, func(path string, _ []byte) error { return cga.WriteParams(path, r.params) })
	}
	if err != nil && newKey {
		err = errors.Join(err, os.Remove(o.key))
	}
	return err
}

// writeOnce makes a file. One that has the contents already is good enough when the work is done again.
func writeOnce(path string, b []byte, again bool, write func(string, []byte) error) error {
	if again {
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b) {
			return nil
		}
	}
	return write(path, b)
}

func exists(path string) bool {
	if path == "" {
		return false
	}
	_, err := os.Lstat(path)
	return err == nil
}

// placeError adds what to do where a file cannot be made.
func placeError(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return withHint(err, "make the directory first, with mode 700")
	case errors.Is(err, os.ErrPermission):
		return withHint(err, "name a directory that you may write to")
	}
	return err
}

// checkNew tells why a file cannot be made.
func checkNew(path string) error {
	dir := filepath.Dir(path)
	st, err := os.Stat(dir)
	if err != nil {
		return placeError(err)
	}
	if !st.IsDir() {
		return withHint(fmt.Errorf("%s is not a directory", dir), "name a file in a directory")
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return placeError(fmt.Errorf("write to %s: %w", dir, err))
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
