// SPDX-License-Identifier: MIT

package figure

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// A Machine is what a figure was measured on.
type Machine struct {
	CPU        string `json:"cpu"`
	Processors int    `json:"processors"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	Commit     string `json:"commit"` // of this program, "unknown" outside a repository
}

// ThisMachine looks at the machine that this program runs on.
func ThisMachine() Machine {
	m := Machine{CPU: cpuModel(), Processors: runtime.NumCPU(), Kernel: "unknown", Go: runtime.Version(), Commit: "unknown"}
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		m.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return m
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			m.Commit = s.Value[:min(12, len(s.Value))] + strings.TrimPrefix(m.Commit, "unknown")
		case s.Key == "vcs.modified" && s.Value == "true":
			m.Commit += " and changes"
		}
	}
	return m
}

func cpuModel() string {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(raw)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
