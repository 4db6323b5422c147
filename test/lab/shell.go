// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"shim6/test/lab/cases"
	"shim6/test/lab/kernel"
	"shim6/test/lab/report"
	"shim6/test/lab/vm"
)

// runShell boots a guest whose console is this terminal.
func runShell(ctx context.Context, s *settings) error {
	if err := s.check(); err != nil {
		return err
	}
	k, err := kernel.Open(s.series[0])
	if err != nil {
		return err
	}
	out, err := filepath.Abs(filepath.Join(s.out, "shell"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	work := filepath.Join(s.build, "lab")
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	image := filepath.Join(work, fmt.Sprintf("shell-%d.cpio", os.Getpid()))
	defer os.Remove(image)
	job := &report.Job{Series: k.Series, Release: k.Release, TSend: s.tsend, RTT: s.rtt, Shell: true}
	if k.UserMode() {
		job.Share = out
	}
	if err := makeImage(image, s, k, job, cases.Case{Daemons: true, Programs: []string{"nft", "wg"}}); err != nil {
		return err
	}
	guest, err := vm.Start(ctx, vm.Options{
		Image: k.Image(), UserMode: k.UserMode(), Debug: k.Debug(), Initramfs: image, Share: out, MemoryMB: memoryMB,
		CPUs: k.CPUs(), Interactive: true,
	})
	if err != nil {
		return err
	}
	for range guest.Lines() {
	}
	return guest.Wait()
}
