// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"shim6/test/lab/cases"
	"shim6/test/lab/initramfs"
	"shim6/test/lab/kernel"
	"shim6/test/lab/report"
)

// A debian is a disk with Debian 12 that fetch-debian.sh made.
type debian struct {
	dir            string
	release, other string // kernels; of the other one there are only the headers
}

func openDebian(series string) (*debian, error) {
	cache, err := kernel.CacheDir()
	if err != nil {
		return nil, err
	}
	d := &debian{dir: filepath.Join(cache, "debian", series)}
	for name, to := range map[string]*string{"release": &d.release, "other": &d.other} {
		raw, err := os.ReadFile(filepath.Join(d.dir, name))
		if err != nil {
			return nil, fmt.Errorf("no Debian with Linux %s, run test/setup.sh debian-%s: %w", series, series, err)
		}
		*to = strings.TrimSpace(string(raw))
	}
	return d, nil
}

func (d *debian) path(name string) string { return filepath.Join(d.dir, name) }

// packageDirs are the folders with our packages, in the build folder, by their names in the guest: the second is an upgrade.
var packageDirs = [2][2]string{{"old", "deb"}, {"new", "deb-next"}}

// makeFiles writes the archive that the agent of a guest with Debian lives in.
func makeFiles(to string, s *settings, job *report.Job, c cases.Case) error {
	a := new(initramfs.Archive)
	if err := a.Copy("/init", filepath.Join(s.build, "bin", "labagent")); err != nil {
		return fmt.Errorf("the agent is not built, run make: %w", err)
	}
	if err := addPrograms(a, c.Programs); err != nil {
		return err
	}
	if err := addDaemons(a, s, job); err != nil {
		return err
	}
	for i, dir := range packageDirs {
		if err := addPackages(a, path.Join(report.PackageDir, dir[0]), filepath.Join(s.build, dir[1]), &job.Versions[i]); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(job)
	if err != nil {
		return err
	}
	a.File(report.JobPath, 0o644, raw)
	return a.Write(to)
}

func addPackages(a *initramfs.Archive, to, dir string, version *string) error {
	for _, name := range []string{"shim6", "shim6-dkms", "cgatool"} {
		found, err := filepath.Glob(filepath.Join(dir, name+"_*.deb"))
		if err != nil {
			return err
		}
		if len(found) != 1 {
			return fmt.Errorf("%d packages %s in %s, run make package-test", len(found), name, dir)
		}
		raw, err := exec.Command("dpkg-deb", "--field", found[0], "Version").Output()
		if err != nil {
			return fmt.Errorf("version of %s: %w", found[0], err)
		}
		*version = strings.TrimSpace(string(raw))
		if err := a.Copy(path.Join(to, name+".deb"), found[0]); err != nil {
			return err
		}
	}
	return nil
}
