// SPDX-License-Identifier: MIT

package cases

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"shim6/test/lab/kernel"
	"shim6/test/lab/kmemleak"
	"shim6/test/lab/kmsg"
	"shim6/test/lab/module"
	"shim6/test/lab/report"
)

var plantedBugs = Case{
	Name:    "planted-bugs",
	About:   "a debug kernel notices bugs that were made on purpose",
	Only:    []string{kernel.DebugUML, kernel.DebugSMP},
	Planted: []string{"suspicious RCU usage", "circular locking", "slab-use-after-free in use_after_free", "slab-out-of-bounds in overrun"},
	Limit:   3 * time.Minute,
	Run:     runPlantedBugs,
}

// leakedObjects is what lab_bugs leaks.
const leakedObjects = 8

// plants are the bugs of lab_bugs and what the kernel says of each. Those that make lockdep give up come after the others of it.
var plants = []struct {
	bug, complaint string
	only           string // the kernel that can notice it, empty for both
	maker          string // the function that made the object, which the kernel tells of some
}{
	{"unprotected", "suspicious RCU usage", "", ""},
	// User-mode Linux is not preempted and does not count what makes sleeping wrong.
	{"atomic", "sleeping function called from invalid context", kernel.DebugSMP, ""},
	{"inversion", "circular locking", "", ""},
	{"timer", "debug_print_object", kernel.DebugUML, ""},
	{"overrun", "slab-out-of-bounds in overrun", "", ""},
	{"use-after-free", "slab-use-after-free in use_after_free", "", "thing_new"},
	// Takes a second processor.
	{"race", "slab-use-after-free in reader", kernel.DebugSMP, ""},
}

func runPlantedBugs(e *Env) error {
	if err := e.plantLeak(); err != nil {
		return err
	}
	seen := 0
	for _, p := range plants {
		if p.only != "" && p.only != e.Series {
			continue
		}
		if err := plant(p.bug); err != nil {
			return err
		}
		log, err := kmsg.Read()
		if err != nil {
			return err
		}
		complaints := kmsg.Complaints(log)
		found := slices.ContainsFunc(complaints[min(seen, len(complaints)):], func(c string) bool { return strings.Contains(c, p.complaint) })
		e.Check("the kernel notices bug "+p.bug, found, "%d complaints", len(complaints)-seen)
		seen = len(complaints)
		if p.maker != "" {
			_, told, _ := strings.Cut(log, p.complaint)
			e.Check("and tells who made the object", strings.Contains(told, p.maker+"+0x"), "%s in the call trace", p.maker)
		}
	}
	return nil
}

// plantLeak leaks objects and looks for them. Nothing else may be leaked meanwhile.
func (e *Env) plantLeak() error {
	if e.Series != kernel.DebugUML {
		return nil
	}
	leaks, err := kmemleak.Start()
	if err != nil {
		return err
	}
	if leaks == nil {
		return fmt.Errorf("kernel %s does not look for leaks", e.Release)
	}
	if err := loadBug("leak"); err != nil {
		return err
	}
	found, err := leaks.Find()
	if err != nil {
		return err
	}
	n := strings.Count(found, "unreferenced object")
	e.Check("the kernel notices bug leak", n == leakedObjects, "%d objects were leaked, %d found", leakedObjects, n)
	n = strings.Count(found, " leak+0x")
	e.Check("and tells who leaked", n == leakedObjects, "%d of %d call traces", n, leakedObjects)
	return unloadSoon("lab_bugs")
}

// plant makes a bug happen.
func plant(bug string) error {
	if err := loadBug(bug); err != nil {
		return err
	}
	return unloadSoon("lab_bugs")
}

func loadBug(bug string) error {
	if err := module.LoadWith(filepath.Join(report.BugDir, "lab_bugs.ko"), "bug="+bug); err != nil {
		return fmt.Errorf("bug %s: %w", bug, err)
	}
	return nil
}
