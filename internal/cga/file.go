// SPDX-License-Identifier: MIT

package cga

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// maxFileLen bounds the key and parameter files that are read; a PEM key of MaxKeyBits has about 6500 octets.
const maxFileLen = 1 << 17

// Modes of the files that are made.
const (
	secretMode = 0o600
	paramsMode = 0o644
)

// LoadParams reads a file that holds the octets of one CGA Parameters data structure and nothing else.
func LoadParams(path string) (*Params, error) {
	b, _, err := readFile(path)
	if err != nil {
		return nil, err
	}
	p, err := ParseParams(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// WriteParams makes a file, mode 0644, with the octets of p, which every peer is told. It never overwrites: an existing file
// gives an error that is os.ErrExist. A failed call leaves no file.
func WriteParams(path string, p *Params) error {
	if err := p.check(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return writeFile(path, p.Marshal(), paramsMode, linkNew)
}

// ReplaceParams is WriteParams, but puts p in the place of a file that may exist; a failed call leaves the old one.
func ReplaceParams(path string, p *Params) error {
	if err := p.check(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return writeFile(path, p.Marshal(), paramsMode, os.Rename)
}

// WriteFile makes a file, mode 0600, with the octets of b. It never overwrites, as WriteParams.
func WriteFile(path string, b []byte) error {
	return writeFile(path, b, secretMode, linkNew)
}

// ReplaceFile is WriteFile, but puts the file in the place of one that may exist; a failed call leaves the old one.
func ReplaceFile(path string, b []byte) error {
	return writeFile(path, b, secretMode, os.Rename)
}

func readFile(path string) ([]byte, os.FileMode, error) {
	// O_NONBLOCK keeps a FIFO under that name from blocking the caller for ever.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if st.IsDir() {
		return nil, 0, &os.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	}
	if !st.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s: not a regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFileLen+1))
	if err != nil {
		return nil, 0, err
	}
	if len(b) > maxFileLen {
		return nil, 0, fmt.Errorf("%s: more than %d octets", path, maxFileLen)
	}
	return b, st.Mode().Perm(), nil
}

// writeFile writes a file beside path and then moves it to path with place, so that no reader, crash or full disk ever sees
// half of it.
func writeFile(path string, b []byte, mode os.FileMode, place func(from, to string) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return createError(path, err)
	}
	defer func() {
		f.Close()
		if e := os.Remove(f.Name()); err == nil && e != nil && !errors.Is(e, os.ErrNotExist) {
			err = e
		}
	}()
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// createError names the file that was to be made, and not the one that should have become it.
func createError(path string, err error) error {
	var of *os.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	return &os.PathError{Op: "create", Path: path, Err: err}
}

func linkNew(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, os.ErrExist) {
		return &os.PathError{Op: "create", Path: to, Err: os.ErrExist}
	}
	return err
}
