// SPDX-License-Identifier: MIT

package initramfs

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// libraryDirs are where Debian keeps shared libraries on amd64, in the order of ld.so, and where systemd keeps its own.
var libraryDirs = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/lib", "/usr/lib", "/lib/x86_64-linux-gnu/systemd"}

// Program adds an executable of this machine with its interpreter and every shared library that it needs.
func (a *Archive) Program(name, from string) error {
	if err := a.Copy(name, from); err != nil {
		return err
	}
	return a.libraries(tree{}, from, map[string]bool{})
}

// ProgramOf adds an executable of a system whose files lie below root, with what it needs from there, at the same path below
// prefix.
func (a *Archive) ProgramOf(root, prefix, name string) error {
	t := tree{root, prefix}
	if err := t.copy(a, name); err != nil {
		return err
	}
	return a.libraries(t, t.file(name), map[string]bool{})
}

// A tree is where programs and libraries lie, and where they are to lie in the guest; the zero value is this machine.
type tree struct {
	root, prefix string
}

// file gives the path on this machine of a file of the tree. An absolute symbolic link leads on within the tree.
func (t tree) file(name string) string {
	path := filepath.Join(t.root, name)
	for range 8 {
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if filepath.IsAbs(target) {
			path = filepath.Join(t.root, target)
		} else {
			path = filepath.Join(filepath.Dir(path), target)
		}
	}
	return path
}

// copy adds a file in the folder where it really lies: Debian's /lib is a link to /usr/lib.
func (t tree) copy(a *Archive, name string) error {
	to := name
	if t.root != "" {
		dir, err := filepath.EvalSymlinks(filepath.Join(t.root, filepath.Dir(name)))
		if err != nil {
			return err
		}
		to = filepath.Join(strings.TrimPrefix(dir, t.root), filepath.Base(name))
	}
	return a.Copy(filepath.Join(t.prefix, to), t.file(name))
}

func (a *Archive) libraries(t tree, of string, done map[string]bool) error {
	f, err := elf.Open(of)
	if err != nil {
		return fmt.Errorf("%s: %w", of, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		raw := make([]byte, p.Filesz)
		if _, err := p.ReadAt(raw, 0); err != nil {
			return fmt.Errorf("interpreter of %s: %w", of, err)
		}
		if err := t.copy(a, string(raw[:len(raw)-1])); err != nil {
			return fmt.Errorf("interpreter of %s: %w", of, err)
		}
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("libraries of %s: %w", of, err)
	}
	for _, lib := range needed {
		if done[lib] {
			continue
		}
		done[lib] = true
		path, err := t.library(lib)
		if err != nil {
			return fmt.Errorf("%s needs %w", of, err)
		}
		if err := t.copy(a, path); err != nil {
			return err
		}
		if err := a.libraries(t, t.file(path), done); err != nil {
			return err
		}
	}
	return nil
}

func (t tree) library(name string) (string, error) {
	for _, dir := range libraryDirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(t.file(path)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("library %s: not in %v", name, libraryDirs)
}
