// SPDX-License-Identifier: MIT

package cases

import (
	"os"
	"os/exec"
	"syscall"

	"shim6/test/lab/report"
)

// Shell gives the console a prompt until the user leaves it.
func Shell(job *report.Job) error {
	sh := exec.Command("/bin/sh", "-l")
	sh.Stdin, sh.Stdout, sh.Stderr = os.Stdin, os.Stdout, os.Stderr
	sh.Env = append(os.Environ(), "HOME=/", "TERM=linux", "PS1=lab# ")
	// Its own session makes the console its terminal, so that ctrl-C reaches what runs in it.
	sh.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	return sh.Run()
}
