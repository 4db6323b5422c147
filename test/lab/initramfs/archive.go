// SPDX-License-Identifier: MIT

// Package initramfs writes the file system that a guest boots from.
package initramfs

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"

	"github.com/cavaliergopher/cpio"
)

// An Archive collects files and writes them as a newc archive. The zero value is ready to use.
type Archive struct {
	entries map[string]entry
}

type entry struct {
	mode cpio.FileMode
	data []byte
}

// Dir adds an empty folder; the folders above any entry are added by themselves.
func (a *Archive) Dir(name string) {
	a.add(name, entry{mode: cpio.TypeDir | 0o755})
}

// File adds a file; name is its absolute path in the guest.
func (a *Archive) File(name string, mode fs.FileMode, data []byte) {
	a.add(name, entry{mode: cpio.TypeReg | cpio.FileMode(mode.Perm()), data: data})
}

// Symlink adds a symbolic link at name that points to target.
func (a *Archive) Symlink(name, target string) {
	a.add(name, entry{mode: cpio.TypeSymlink | 0o777, data: []byte(target)})
}

// Copy adds a file of this machine, with its permissions.
func (a *Archive) Copy(name, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	a.File(name, info.Mode(), data)
	return nil
}

func (a *Archive) add(name string, e entry) {
	if a.entries == nil {
		a.entries = map[string]entry{}
	}
	name = strings.TrimPrefix(path.Clean(name), "/")
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, ok := a.entries[dir]; !ok {
			a.entries[dir] = entry{mode: cpio.TypeDir | 0o755}
		}
	}
	a.entries[name] = e
}

// Write writes the archive to a file. Equal entries give equal files.
func (a *Archive) Write(to string) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := bufio.NewWriterSize(f, 1<<20)
	if err := a.write(cpio.NewWriter(buf)); err != nil {
		return fmt.Errorf("write %s: %w", to, err)
	}
	if err := buf.Flush(); err != nil {
		return err
	}
	return f.Close()
}

func (a *Archive) write(w *cpio.Writer) error {
	names := make([]string, 0, len(a.entries))
	for name := range a.entries {
		names = append(names, name)
	}
	// A folder sorts before what is in it.
	sort.Strings(names)
	for i, name := range names {
		e := a.entries[name]
		// The body of a symbolic link is its target.
		h := &cpio.Header{Name: name, Mode: e.mode, Size: int64(len(e.data)), Inode: int64(i + 1), Links: 1}
		if err := w.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if _, err := w.Write(e.data); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return w.Close()
}
