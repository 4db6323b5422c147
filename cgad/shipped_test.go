// SPDX-License-Identifier: MIT

package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shim6/cgad/config"
)

func readText(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The shipped file says what the daemon does without it, and what is commented out there is right too.
func TestShippedConfiguration(t *testing.T) {
	text := readText(t, "../configs/cgad.yaml")
	got, err := config.Parse(strings.NewReader(text), "cgad.yaml")
	if err != nil {
		t.Fatal(err)
	}
	same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	empty := func(c *config.Config) *config.Config {
		if len(c.Interfaces) == 0 {
			c.Interfaces = nil
		}
		return c
	}
	if d := cmp.Diff(config.Default(), empty(got), same); d != "" {
		t.Errorf("(-default +shipped):\n%s", d)
	}
	if _, err := config.Parse(strings.NewReader(regexp.MustCompile(`(?m)^#(\S|  )`).ReplaceAllString(text, "$1")), "cgad.yaml"); err != nil {
		t.Errorf("with everything that is commented out: %v", err)
	}
}

func TestEveryKeyIsInTheManual(t *testing.T) {
	manual, shipped := readText(t, "cgad.yaml.5"), readText(t, "../configs/cgad.yaml")
	names := config.KeyNames()
	if len(names) < 15 {
		t.Errorf("only %d keys: %v", len(names), names)
	}
	for _, name := range names {
		if !regexp.MustCompile(`(?m)^(\.It )?\.?Cm ` + name + `\b`).MatchString(manual) {
			t.Errorf("%s is not in cgad.yaml(5)", name)
		}
		if !regexp.MustCompile(`(?m)^#?\s*` + name + `:`).MatchString(shipped) {
			t.Errorf("%s is not in the shipped file", name)
		}
	}
}

func TestEveryFlagIsInTheManual(t *testing.T) {
	manual := readText(t, "cgad.8")
	n := 0
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			n++
			if !strings.Contains(manual, ".It Fl -"+f.Name) {
				t.Errorf("--%s is not in cgad(8)", f.Name)
			}
		})
		for _, sub := range c.Commands() {
			if !strings.Contains(manual, ".It Ic "+sub.Name()) {
				t.Errorf("command %s is not in cgad(8)", sub.Name())
			}
			visit(sub)
		}
	}
	visit((&program{stdout: os.Stdout, stderr: os.Stderr}).command())
	if n < 5 {
		t.Errorf("only %d flags", n)
	}
}

func TestUnitFitsTheDaemon(t *testing.T) {
	text := readText(t, "../configs/cgad.service")
	defaults := config.Default()
	for _, want := range []string{
		"Type=notify", "ExecStart=/usr/sbin/cgad --signer /run/shim6-signer.sock", "User=shim6", "AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW", "ExecReload=/bin/kill -HUP $MAINPID", "CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW",
		"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK", // metrics may be on 127.0.0.1
		"RuntimeDirectory=" + filepath.Base(filepath.Dir(defaults.Socket)), "RuntimeDirectoryPreserve=yes",
		"ReadWritePaths=" + filepath.Dir(defaults.State) + " " + filepath.Dir(defaults.Keys),
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	// It writes the settings of interfaces.
	if strings.Contains(text, "ProtectKernelTunables") {
		t.Error("the kernel's settings are protected from it")
	}
}
