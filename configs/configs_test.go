// SPDX-License-Identifier: MIT

package configs

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
	"github.com/google/go-cmp/cmp"

	"shim6/daemon/config"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := Files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The shipped file says what the daemon does without it.
func TestShippedConfigurationIsTheDefault(t *testing.T) {
	got, err := config.Parse(bytes.NewReader(read(t, "shim6.yaml")), "shim6.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.State = want.StateFile()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-default +shipped):\n%s", d)
	}
}

func TestShippedConfigurationHasEveryKey(t *testing.T) {
	text := string(read(t, "shim6.yaml"))
	for _, name := range config.KeyNames() {
		parent, key, nested := strings.Cut(name, ".")
		want := `(?m)^#?` + parent + `: `
		if nested {
			want = `(?ms)^` + parent + `:\n(  [^\n]*\n)*?  ` + key + `: `
		}
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("key %s is not in shim6.yaml", name)
		}
	}
}

// Those of entries are in the comments.
func TestShippedConfigurationHasEveryEntryKey(t *testing.T) {
	text := string(read(t, "shim6.yaml"))
	for _, of := range []string{"peers", "preferences"} {
		for _, key := range config.EntryKeys(of) {
			if !regexp.MustCompile(`(?m)^#.*\b` + key + `\b`).MatchString(text) {
				t.Errorf("key %s of an entry of %s is not in shim6.yaml", key, of)
			}
		}
	}
}

func options(t *testing.T, name string) map[string]string {
	t.Helper()
	list, err := unit.DeserializeOptions(bytes.NewReader(read(t, name)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	m := make(map[string]string)
	for _, o := range list {
		m[o.Section+"."+o.Name] = o.Value
	}
	return m
}

func TestUnitFitsTheDaemon(t *testing.T) {
	o := options(t, "shim6d.service")
	defaults := config.Default()
	for key, want := range map[string]string{
		"Service.Type":      "notify",
		"Service.ExecStart": "/usr/sbin/shim6d --signer /run/shim6-signer.sock",
		// The default files are in the directory that the unit makes.
		"Service.RuntimeDirectory": filepath.Base(filepath.Dir(defaults.Socket)),
		// The saved contexts are needed by the next daemon.
		"Service.RuntimeDirectoryPreserve": "yes",
		"Service.ReadWritePaths":           filepath.Dir(defaults.StateFile()),
		"Service.User":                     "shim6",
		"Service.CapabilityBoundingSet":    "CAP_NET_ADMIN CAP_NET_RAW",
		"Service.AmbientCapabilities":      "CAP_NET_ADMIN CAP_NET_RAW",
		"Service.WatchdogSec":              "60s",
		"Install.WantedBy":                 "multi-user.target",
	} {
		if o[key] != want {
			t.Errorf("%s is %q, want %q", key, o[key], want)
		}
	}
	if _, err := os.Stat("../daemon/shim6d/main.go"); err != nil {
		t.Errorf("the unit starts a program that is not there: %v", err)
	}
}

// Private keys are root's, and the signer has them alone: everything that names them, their user or the socket is of one mind.
func TestSignerFits(t *testing.T) {
	socket, service, shim6d, cgad := options(t, "shim6-signer.socket"), options(t, "shim6-signer@.service"), options(t, "shim6d.service"), options(t, "cgad.service")
	at := socket["Socket.ListenStream"]
	user := socket["Socket.SocketUser"]
	for what, ok := range map[string]bool{
		"shim6d asks at the socket":       shim6d["Service.ExecStart"] == "/usr/sbin/shim6d --signer "+at,
		"cgad asks at the socket":         cgad["Service.ExecStart"] == "/usr/sbin/cgad --signer "+at,
		"nobody else may":                 socket["Socket.SocketMode"] == "0600" && socket["Socket.SocketGroup"] == "",
		"the daemons are the socket's":    shim6d["Service.User"] == user && cgad["Service.User"] == user,
		"there is such a user":            strings.Contains(string(read(t, "shim6.sysusers")), "\nu "+user+" "),
		"the signer is another":           service["Service.DynamicUser"] == "yes" && service["Service.User"] == "",
		"it can do nothing":               service["Service.CapabilityBoundingSet"] == "" && service["Service.RestrictAddressFamilies"] == "none",
		"one is started for each":         socket["Socket.Accept"] == "yes" && service["Service.StandardInput"] == "socket",
		"it has the keys":                 service["Service.LoadCredential"] == "keys:"+config.Default().Keys,
		"nobody but root can remove them": strings.Contains(string(read(t, "shim6.tmpfiles")), "\nd "+config.Default().Keys+" 1770 root "+user+"\n"),
	} {
		if !ok {
			t.Errorf("not so: %s", what)
		}
	}
}

// Every unit is exposed to 2.5 at most as systemd-analyze rates it, of 10.
func TestUnitsAreConfined(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Fatalf("systemd-analyze is missing: apt-get install systemd: %v", err)
	}
	for _, unit := range []string{"shim6d.service", "cgad.service", "shim6-signer@.service"} {
		// A template has no rating, an instance of it has.
		name := filepath.Join(t.TempDir(), strings.Replace(unit, "@", "@1", 1))
		if err := os.WriteFile(name, read(t, unit), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(analyze, "security", "--no-pager", "--offline=true", "--threshold=25", name).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Overall exposure level") {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}

// Every module that is loaded at boot is built here.
func TestModulesExist(t *testing.T) {
	built := ""
	for _, dir := range []string{"kmod", "heuristics"} {
		b, err := os.ReadFile(filepath.Join("..", dir, "Kbuild"))
		if err != nil {
			t.Fatal(err)
		}
		built += string(b)
	}
	n := 0
	for line := range strings.Lines(string(read(t, "shim6.modules-load"))) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		n++
		if !regexp.MustCompile(`\b` + line + `\.o\b`).MatchString(built) {
			t.Errorf("module %s is not built", line)
		}
	}
	if n == 0 {
		t.Error("no module is loaded")
	}
}
