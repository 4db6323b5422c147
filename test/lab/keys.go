// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"path/filepath"

	"shim6/test/lab/initramfs"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
)

// hostKeys are the keys of one host of the topology.
type hostKeys struct {
	Addresses []netip.Addr
	dir       string
}

// generated is what cgatool generate tells.
type generated struct {
	Addresses []struct {
		Address netip.Addr `json:"address"`
	} `json:"addresses"`
}

// makeKeys has cgatool make the hosts' keys and addresses, once for a build folder: the search is slow in a guest.
func makeKeys(s *settings) (a, b *hostKeys, err error) {
	a, err = keysOf(s, "a", topo.PrefixA1, topo.PrefixA2, topo.PrefixA4, topo.PrefixA5)
	if err != nil {
		return nil, nil, err
	}
	b, err = keysOf(s, "b", topo.PrefixB1)
	return a, b, err
}

func keysOf(s *settings, host string, prefixes ...netip.Prefix) (*hostKeys, error) {
	// Their number is in the name: keys that an earlier lab made may be for less.
	dir := filepath.Join(s.build, "lab", "keys", fmt.Sprintf("%s-%d", host, len(prefixes)))
	list := filepath.Join(dir, "generated.json")
	if _, err := os.Stat(list); errors.Is(err, os.ErrNotExist) {
		if err := generate(filepath.Join(s.build, "bin", "cgatool"), dir, list, prefixes); err != nil {
			return nil, fmt.Errorf("keys of host %s: %w", host, err)
		}
	}
	raw, err := os.ReadFile(list)
	if err != nil {
		return nil, err
	}
	var g generated
	if err := json.Unmarshal(raw, &g); err != nil {
		return nil, fmt.Errorf("%s: %w", list, err)
	}
	k := &hostKeys{dir: dir}
	for _, a := range g.Addresses {
		k.Addresses = append(k.Addresses, a.Address)
	}
	if len(k.Addresses) != len(prefixes) {
		return nil, fmt.Errorf("%s: %d addresses for %d prefixes", list, len(k.Addresses), len(prefixes))
	}
	for i, p := range prefixes {
		if !p.Contains(k.Addresses[i]) {
			return nil, fmt.Errorf("%s: address %v is not in %v", list, k.Addresses[i], p)
		}
	}
	return k, nil
}

func generate(cgatool, dir, list string, prefixes []netip.Prefix) error {
	// Made aside and renamed, so that an interrupted run leaves nothing that looks complete.
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	args := []string{"generate", "--json", "--new-key", "--bits", "2048", "--sec", "1", "--name", "host", "--out", temp}
	for _, p := range prefixes {
		args = append(args, "--prefix", p.String())
	}
	cmd := exec.Command(cgatool, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("cgatool generate: %w", err)
	}
	if err := os.WriteFile(filepath.Join(temp, filepath.Base(list)), out, 0o600); err != nil {
		return err
	}
	err = os.Rename(temp, dir)
	if errors.Is(err, os.ErrExist) {
		return nil // a case that began at the same time was faster
	}
	return err
}

// addKeys puts both hosts' keys into the guest and their addresses into the job.
func addKeys(a *initramfs.Archive, s *settings, job *report.Job) error {
	ka, kb, err := makeKeys(s)
	if err != nil {
		return err
	}
	for host, k := range map[string]*hostKeys{"a": ka, "b": kb} {
		for _, file := range []string{"host.pem", "host.pds"} {
			if err := a.Copy(path.Join(report.KeyDir, host, file), filepath.Join(k.dir, file)); err != nil {
				return err
			}
		}
	}
	job.A1, job.A2, job.A4, job.A5 = ka.Addresses[0], ka.Addresses[1], ka.Addresses[2], ka.Addresses[3]
	job.B1 = kb.Addresses[0]
	return nil
}
