// SPDX-License-Identifier: MIT

package kernel

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A Module is one file to load.
type Module struct {
	Name     string // as in /proc/modules
	Path     string // of the file, possibly compressed
	Optional bool   // a soft dependency: it may refuse to load on this processor
}

// modules is what depmod knows about a kernel.
type modules struct {
	path    map[string]string   // module name -> path relative to the module folder
	needs   map[string][]string // module name -> names, nearest first
	soft    map[string][]string // module name -> names or aliases to load before it
	alias   map[string][]string // alias without wildcard -> module names
	builtin map[string]bool
}

// Modules returns the files to load for the named modules, in load order, with everything they depend on. Modules that are
// built into the kernel are left out; a name that the kernel does not know is an error.
func (k *Kernel) Modules(names []string) ([]Module, error) {
	m, err := readModules(k.moduleDir())
	if err != nil {
		return nil, fmt.Errorf("modules of kernel %s: %w", k.Release, err)
	}
	var order []Module
	seen := map[string]bool{}
	var add func(name string, optional bool) error
	add = func(name string, optional bool) error {
		if seen[name] || m.builtin[name] {
			return nil
		}
		rel, ok := m.path[name]
		if !ok {
			return fmt.Errorf("kernel %s has no module %s", k.Release, name)
		}
		seen[name] = true
		for _, soft := range m.soft[name] {
			for _, provider := range m.providers(soft) {
				if err := add(provider, true); err != nil {
					return err
				}
			}
		}
		for i := len(m.needs[name]) - 1; i >= 0; i-- {
			if err := add(m.needs[name][i], optional); err != nil {
				return err
			}
		}
		order = append(order, Module{Name: name, Path: filepath.Join(k.moduleDir(), rel), Optional: optional})
		return nil
	}
	for _, name := range names {
		if err := add(normal(name), false); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// providers returns the modules that a soft dependency means. Where several answer to an alias the generic one is enough.
func (m *modules) providers(name string) []string {
	if m.builtin[name] {
		return nil
	}
	if _, ok := m.path[name]; ok {
		return []string{name}
	}
	for _, candidate := range m.alias[name] {
		if strings.HasSuffix(candidate, "_generic") {
			return []string{candidate}
		}
	}
	return m.alias[name]
}

func readModules(dir string) (*modules, error) {
	m := &modules{
		path: map[string]string{}, needs: map[string][]string{}, soft: map[string][]string{},
		alias: map[string][]string{}, builtin: map[string]bool{},
	}
	files := []struct {
		name string
		line func(string)
	}{
		{"modules.dep", m.depLine},
		{"modules.softdep", m.softLine},
		{"modules.alias", m.aliasLine},
		{"modules.builtin", func(l string) { m.builtin[nameOf(l)] = true }},
	}
	for _, f := range files {
		if err := eachLine(filepath.Join(dir, f.name), f.line); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *modules) depLine(line string) {
	file, deps, _ := strings.Cut(line, ":")
	name := nameOf(file)
	m.path[name] = file
	for _, dep := range strings.Fields(deps) {
		m.needs[name] = append(m.needs[name], nameOf(dep))
	}
}

func (m *modules) softLine(line string) {
	fields := strings.Fields(line)
	if len(fields) < 3 || fields[0] != "softdep" {
		return
	}
	pre := false
	for _, f := range fields[2:] {
		switch f {
		case "pre:":
			pre = true
		case "post:":
			pre = false
		default:
			if pre {
				m.soft[normal(fields[1])] = append(m.soft[normal(fields[1])], f)
			}
		}
	}
}

func (m *modules) aliasLine(line string) {
	fields := strings.Fields(line)
	if len(fields) == 3 && fields[0] == "alias" && !strings.ContainsAny(fields[1], "*?[") {
		m.alias[fields[1]] = append(m.alias[fields[1]], normal(fields[2]))
	}
}

// nameOf turns "kernel/net/9p/9pnet.ko.xz" into "9pnet".
func nameOf(path string) string {
	base, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return normal(base)
}

func normal(name string) string { return strings.ReplaceAll(name, "-", "_") }

func eachLine(path string, f func(string)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f(lines.Text())
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
