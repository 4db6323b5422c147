// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"shim6/test/lab/module"
	"shim6/test/lab/report"
)

const mainModule = "shim6"

// nicModule is the lab's own, which plays hardware.
const nicModule = "lab_nic"

// underTest returns the names of our modules, in load order: the one that the heuristics need comes first.
func underTest() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(report.KmodDir, "*.ko"))
	if err != nil {
		return nil, err
	}
	names := []string{mainModule}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".ko"); name != mainModule && name != nicModule {
			names = append(names, name)
		}
	}
	return names, nil
}

func loadOne(name string) error {
	return module.Load(filepath.Join(report.KmodDir, name+".ko"))
}

// loadUnderTest loads our modules.
func (e *Env) loadUnderTest() error {
	names, err := underTest()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := loadOne(name); err != nil {
			return err
		}
	}
	return nil
}

// unloadUnderTest unloads our modules, last come first.
func (e *Env) unloadUnderTest() {
	names, err := underTest()
	if err != nil {
		e.Works("unload the modules", err)
		return
	}
	for _, name := range slices.Backward(names) {
		e.Works("unload "+name, unloadSoon(name))
	}
}

// unloadLimit is how long something may still use a module on the slowest kernel.
const unloadLimit = time.Minute

// unloadSoon removes a module; what it freed may still wait for a grace period.
func unloadSoon(name string) error {
	var err error
	for start := time.Now(); time.Since(start) < unloadLimit; time.Sleep(5 * time.Millisecond) {
		if err = module.Unload(name); !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	users, usersErr := module.Users(name)
	return fmt.Errorf("%w: %s%s", err, users, errText(usersErr))
}
