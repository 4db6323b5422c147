// SPDX-License-Identifier: MIT

// Command agent is process 1 of a lab guest, or a service of one that is a whole system: it loads the modules, runs one case, puts the
// files where the runner finds them and switches the guest off.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"

	"shim6/test/lab/cases"
	"shim6/test/lab/machine"
	"shim6/test/lab/report"
)

func main() {
	if _, err := os.Stat(report.JobPath); err != nil {
		fmt.Fprintln(os.Stderr, "agent: this is a process of a lab guest, start it with: go run ./test/lab")
		os.Exit(2)
	}
	// What goes wrong before the port is open can only be said on the console; the kernel's panic then ends the guest.
	if err := mountSystem(); err != nil {
		panic(err)
	}
	// Programs that want random numbers would wait for them at their start, at another time on each kernel.
	if _, err := unix.Getrandom(make([]byte, 1), 0); err != nil {
		panic(err)
	}
	port, err := openPort()
	if err != nil {
		panic(err)
	}
	port.send(report.Line{Kind: report.Hello})
	port.result("the guest ran the case to its end", work(port))
	port.send(report.Line{Kind: report.Done})
	// Sync and the reply of the last write to the share are what the runner waits for.
	syscall.Sync()
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
}

// work does the job and delivers its files, also when the case failed.
func work(port *port) (err error) {
	job, err := readJob()
	if err != nil {
		return err
	}
	if err := loadModules(job.Modules); err != nil {
		return err
	}
	if job.Debian {
		if err := machine.Probe(shareModules...); err != nil {
			return err
		}
	}
	if job.Share != "" {
		// Cases may use it, and what the kernel leaks in this is not theirs.
		if err := mountShare(job); err != nil {
			return err
		}
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if saveErr := deliver(job); err == nil {
			err = saveErr
		}
	}()
	if job.Shell {
		return cases.Shell(job)
	}
	c, err := cases.Find(job.Case)
	if err != nil {
		return err
	}
	return c.Execute(job, port.send)
}

// shareModules are those that Debian has for the share.
var shareModules = []string{"9pnet_virtio", "9p"}

func readJob() (*report.Job, error) {
	raw, err := os.ReadFile(report.JobPath)
	if err != nil {
		return nil, err
	}
	job := new(report.Job)
	if err := json.Unmarshal(raw, job); err != nil {
		return nil, fmt.Errorf("%s: %w", report.JobPath, err)
	}
	return job, nil
}
