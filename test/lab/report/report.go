// SPDX-License-Identifier: MIT

// Package report is what the runner and the guest tell each other: the job on the way in, lines of JSON on the way out.
package report

import (
	"net/netip"
	"time"
)

// Paths in the guest.
const (
	JobPath    = "/lab/job.json"
	ModuleDir  = "/lab/modules"  // modules of the kernel that every case needs, loaded by the agent
	KmodDir    = "/lab/kmod"     // the modules under test, loaded by the cases
	BugDir     = "/lab/bugs"     // a module with bugs to be found
	KeyDir     = "/lab/keys"     // keys of each host, in a folder of its name
	ManagerDir = "/lab/managers" // root of the system whose network managers cases run
	VectorDir  = "/lab/vectors"  // right Shim6 messages in hexadecimal digits
	DataDir    = "/lab/data"     // files that a measurement was given
	PackageDir = "/lab/packages" // our Debian packages, in folders old and new
	DebianRoot = "/run/lab"      // where a machine with Debian sees all of this
	OutDir     = "/lab/out"      // what a case leaves here comes back
	SharePath  = "/lab/share"
	ShareTag   = "labshare"
	PortPath   = "/dev/ttyS1"
)

// A Job tells the agent what to do.
type Job struct {
	Case     string
	Series   string // "6.12"
	Release  string // "6.12.117+deb12-amd64"
	Modules  []JobModule
	Lacks    []string // options that a module of the case needs and that the kernel was configured without
	TSend    time.Duration
	RTT      time.Duration
	Flood    int // destinations that a flood goes to
	Inputs   int // of a fuzzer
	Seed     uint64
	FastTime bool // the clock jumps ahead while the guest is idle
	Debug    bool // a debug kernel: slow, and complaining
	// Share is the runner's folder for the files, which user-mode Linux sees; empty when the guest has it as a device.
	Share string
	Shell bool
	// Debian says that the guest's first process is systemd. Other is the release of a kernel of which there are the headers.
	Debian bool
	Other  string
	// Versions are those of the packages in PackageDir/old and PackageDir/new.
	Versions [2]string
	Params   map[string]string // of a measurement
	// A1, A2 and B1 are the hosts' CGAs, for which KeyDir has the keys; the zero addresses when the case runs no daemon.
	A1, A2, B1 netip.Addr
	A4, A5     netip.Addr // of host a elsewhere
}

// A JobModule is a kernel module in ModuleDir.
type JobModule struct {
	File     string
	Optional bool
}

// Kinds of Line.
const (
	Hello = "hello" // the agent runs
	Say   = "say"   // progress for people
	Judge = "check" // a check with its outcome
	Done  = "done"  // the case returned and its files are in the share
)

// A Line is one message of the agent.
type Line struct {
	Kind  string `json:"kind"`
	At    int64  `json:"at"` // nanoseconds since the guest booted
	Text  string `json:"text,omitempty"`
	Check *Check `json:"check,omitempty"`
}

// A Check is one condition and whether it held. Detail says what was seen.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	// Kernel says that it is the kernel's own complaint that would make the check fail.
	Kernel bool `json:"kernel,omitempty"`
}

// A Result is what every case leaves in result.json.
type Result struct {
	Case    string  `json:"case"`
	Kernel  string  `json:"kernel"`
	Release string  `json:"release"`
	OK      bool    `json:"ok"`
	Boots   int     `json:"boots"` // more than 1: the first guest did not come up
	Seconds float64 `json:"seconds"`
	Checks  []Check `json:"checks"`
	// Slow tells why only checks of the kernel's complaints count, empty when all do.
	Slow string `json:"slow,omitempty"`
}

// Counts tells whether the result depends on a check.
func (r *Result) Counts(c Check) bool { return r.Slow == "" || c.Kernel }

// Failed returns the checks that count and did not hold.
func (r *Result) Failed() []Check {
	var failed []Check
	for _, c := range r.Checks {
		if !c.OK && r.Counts(c) {
			failed = append(failed, c)
		}
	}
	return failed
}
