// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"shim6/test/lab/report"
)

// mountShare mounts the runner's folder.
func mountShare(job *report.Job) error {
	if err := os.MkdirAll(report.SharePath, 0o755); err != nil {
		return err
	}
	kind, data := "9p", "trans=virtio,version=9p2000.L,msize=262144"
	if job.Share != "" {
		kind, data = "hostfs", job.Share
	}
	err := unix.Mount(report.ShareTag, report.SharePath, kind, 0, data)
	if err != nil {
		return fmt.Errorf("mount the share: %w", err)
	}
	return nil
}

// deliver copies what the case left to the share. A device is touched only now: a transfer to this machine takes a time that no
// seed fixes.
func deliver(job *report.Job) error {
	if job.Share == "" {
		if err := mountShare(job); err != nil {
			return err
		}
	}
	err := filepath.WalkDir(report.OutDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(report.OutDir, path)
		if err != nil {
			return err
		}
		to := filepath.Join(report.SharePath, rel)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		return copyFile(to, path)
	})
	if err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	return unix.Unmount(report.SharePath, 0)
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
