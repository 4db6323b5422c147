// SPDX-License-Identifier: MIT

// Package guest runs measurements of the lab for the figures.
package guest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"shim6/test/figures/figure"
)

// A Run is one measurement in one guest.
type Run struct {
	Case   string
	Kernel string // series
	Name   string // of the run, for its folder and its progress
	Seed   int
	Params map[string]string
	Files  map[string]string // for the guest: name there and path here
	RTT    time.Duration
	// Prepare makes the files that are not there yet, nil for none. It is called when there is a place for the guest.
	Prepare func() error
}

// Do runs it and returns the folder with its files. The instruction clock of the guest counts a nanosecond for each instruction,
// so that nothing depends on what else this machine does.
func (g Run) Do(e *figure.Env, r *figure.Result) (dir string, err error) {
	select {
	case e.Places <- struct{}{}:
	case <-e.Context.Done():
		return "", e.Context.Err()
	}
	defer func() { <-e.Places }()
	e.Placed()
	if g.Prepare != nil {
		if err := g.Prepare(); err != nil {
			return "", err
		}
	}
	out := e.Path(g.Name)
	args := []string{"run", "--build", e.Build, "--out", out, "--kernel", g.Kernel, "--seed", fmt.Sprint(max(1, g.Seed)), "--rtt", g.RTT.String()}
	for k, v := range g.Params {
		args = append(args, "--set", k+"="+v)
	}
	for k, v := range g.Files {
		args = append(args, "--file", k+"="+v)
	}
	cmd := exec.CommandContext(e.Context, filepath.Join(e.Build, "bin", "lab"), append(args, g.Case)...)
	// The lab ends its guest when it is told to.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start the lab, which make builds: %w", err)
	}
	var failed []string
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		switch {
		case strings.HasPrefix(line, "FAIL") || strings.HasPrefix(line, "== FAIL"):
			failed = append(failed, line)
			e.Say("%s: %s", g.Name, line)
		case !strings.HasPrefix(line, "ok") && !strings.HasPrefix(line, "=="):
			e.Say("%s: %s", g.Name, line)
		}
	}
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("%s in the lab: %w: %s%s", g.Case, err, strings.Join(failed, "; "), complaint.String())
	}
	dir = filepath.Join(out, g.Case)
	var result struct {
		Release string `json:"release"`
	}
	if err := Load(filepath.Join(dir, "result.json"), &result); err != nil {
		return "", err
	}
	r.AddKernels([]string{result.Release})
	return dir, nil
}

// Load reads a file of JSON.
func Load(path string, v any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
