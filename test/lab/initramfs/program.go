// SPDX-License-Identifier: MIT

package initramfs

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
)

// libraryDirs are where Debian keeps shared libraries on amd64, in the order of ld.so.
var libraryDirs = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/lib", "/usr/lib"}

// Program adds an executable of this machine with its interpreter and every shared library that it needs.
func (a *Archive) Program(name, from string) error {
	if err := a.Copy(name, from); err != nil {
		return err
	}
	return a.libraries(from, map[string]bool{})
}

func (a *Archive) libraries(of string, done map[string]bool) error {
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
		interp := string(raw[:len(raw)-1])
		if err := a.Copy(interp, interp); err != nil {
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
		path, err := findLibrary(lib)
		if err != nil {
			return fmt.Errorf("%s needs %w", of, err)
		}
		if err := a.Copy(path, path); err != nil {
			return err
		}
		if err := a.libraries(path, done); err != nil {
			return err
		}
	}
	return nil
}

func findLibrary(name string) (string, error) {
	for _, dir := range libraryDirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("library %s: not in %v", name, libraryDirs)
}
