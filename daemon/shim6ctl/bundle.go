// SPDX-License-Identifier: MIT

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"shim6/daemon/config"
	"shim6/daemon/ctl"
	"shim6/daemon/doctor"
	"shim6/internal/buildinfo"
)

const (
	// toolTime bounds how long one program may take, and toolMost how much of its output is kept.
	toolTime = 10 * time.Second
	toolMost = 4 << 20
)

// tools are what the bundle asks beside the daemon. None of them tells a private key.
var tools = []struct {
	file string
	args []string
}{
	{"uname.txt", []string{"uname", "-a"}},
	{"modinfo.txt", []string{"modinfo", "shim6"}},
	{"lsmod.txt", []string{"lsmod"}},
	{"address.txt", []string{"ip", "-6", "-details", "address"}},
	{"link.txt", []string{"ip", "-details", "-statistics", "link"}},
	{"route.txt", []string{"ip", "-6", "route", "show", "table", "all"}},
	{"rule.txt", []string{"ip", "-6", "rule"}},
	{"xfrm-state.txt", []string{"ip", "-statistics", "xfrm", "state"}},
	{"xfrm-policy.txt", []string{"ip", "xfrm", "policy"}},
	{"sysctl.txt", []string{"sysctl", "net.ipv6"}},
	{"nftables.txt", []string{"nft", "list", "ruleset"}},
	{"kernel-log.txt", []string{"dmesg"}},
	{"cgad.txt", []string{"cgad", "status"}},
	{"unit.txt", []string{"systemctl", "--no-pager", "status", "shim6d", "cgad"}},
	{"journal.txt", []string{"journalctl", "--no-pager", "--lines=2000", "--unit=shim6d", "--unit=cgad"}},
}

func (e *env) bundle() *cobra.Command {
	var out, file string
	c := &cobra.Command{
		Use: "debug-bundle", Short: "write all that helps to find a fault to one file", Args: cobra.NoArgs,
		Long: `debug-bundle writes what the daemon, the kernel and doctor tell, the
configuration and the logs to a compressed tar archive. Private keys are not in
it; addresses are. What could not be had is named in errors.txt.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e.started = true
			if out == "" {
				host, err := os.Hostname()
				if err != nil {
					host = "host"
				}
				out = fmt.Sprintf("shim6-debug-%s-%s.tar.gz", host, e.now().UTC().Format("20060102T150405Z"))
			}
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			b := newBundle(f, e.now())
			err = errors.Join(b.fill(cmd.Context(), e.socket, file), b.close(), f.Close())
			if err != nil {
				return errors.Join(err, os.Remove(out))
			}
			fmt.Fprintf(e.stdout, "%s: %d files, %d could not be had\n", out, b.files, b.failed)
			return nil
		},
	}
	c.Flags().StringVar(&out, "out", "", "file to write, that must not exist; by default named after host and time")
	c.Flags().StringVar(&file, "config", config.DefaultPath, "configuration file of the daemon")
	return c
}

// A bundle is an archive that is being written.
type bundle struct {
	zip           *gzip.Writer
	tar           *tar.Writer
	at            time.Time
	files, failed int
	errors        bytes.Buffer
}

func newBundle(w io.Writer, at time.Time) *bundle {
	z := gzip.NewWriter(w)
	return &bundle{zip: z, tar: tar.NewWriter(z), at: at}
}

func (b *bundle) add(name string, content []byte) error {
	b.files++
	h := &tar.Header{Name: "shim6-debug/" + name, Mode: 0o600, Size: int64(len(content)), ModTime: b.at}
	if err := b.tar.WriteHeader(h); err != nil {
		return err
	}
	_, err := b.tar.Write(content)
	return err
}

// miss notes what could not be had.
func (b *bundle) miss(name string, err error) {
	b.failed++
	fmt.Fprintf(&b.errors, "%s: %v\n", name, err)
}

func (b *bundle) addJSON(name string, v any, err error) error {
	if err != nil {
		b.miss(name, err)
		return nil
	}
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return b.add(name, append(raw, '\n'))
}

func (b *bundle) fill(ctx context.Context, socket, file string) error {
	c := ctl.NewClient(socket)
	defer c.Close()
	errs := []error{b.add("version.txt", []byte("shim6ctl "+buildinfo.Version()+"\n"))}
	status, err := c.Status(ctx)
	errs = append(errs, b.addJSON("status.json", status, err))
	contexts, err := c.Contexts(ctx, ctl.Filter{})
	errs = append(errs, b.addJSON("contexts.json", contexts, err))
	flows, err := c.Flows(ctx)
	errs = append(errs, b.addJSON("flows.json", flows, err))
	locators, err := c.Locators(ctx)
	errs = append(errs, b.addJSON("locators.json", locators, err))
	stats, err := c.Stats(ctx)
	errs = append(errs, b.addJSON("stats.json", stats, err))
	heuristics, err := c.Heuristics(ctx)
	errs = append(errs, b.addJSON("heuristics.json", heuristics, err))
	log, err := c.Log(ctx, ctl.LogFilter{})
	errs = append(errs, b.addJSON("log.json", log, err))
	errs = append(errs, b.addJSON("doctor.json", doctor.Examine(ctx, doctor.Host{Config: file, Socket: socket, Proc: "/proc"}), nil))
	for _, file := range []string{file, filepath.Join(filepath.Dir(file), "cgad.yaml")} {
		if raw, err := os.ReadFile(file); err != nil {
			b.miss(filepath.Base(file), err)
		} else {
			errs = append(errs, b.add(filepath.Base(file), raw))
		}
	}
	for _, t := range tools {
		raw, err := output(ctx, t.args)
		if err != nil {
			b.miss(t.file, err)
		}
		if len(raw) > 0 {
			errs = append(errs, b.add(t.file, raw))
		}
	}
	return errors.Join(errs...)
}

// output runs a program and gives the last of what it wrote.
func output(ctx context.Context, args []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, toolTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second
	raw, err := cmd.CombinedOutput()
	return raw[max(0, len(raw)-toolMost):], err
}

func (b *bundle) close() error {
	err := b.add("errors.txt", b.errors.Bytes())
	return errors.Join(err, b.tar.Close(), b.zip.Close())
}
