// SPDX-License-Identifier: MIT

package vm

import (
	"strconv"
	"strings"
)

// umlArguments are the command line of user-mode Linux. It is the kernel's command line, too.
func umlArguments(o Options) []string {
	console := "con0=null,fd:1"
	if o.Interactive {
		console = "con0=fd:0,fd:1"
	}
	return append(strings.Fields(logLevel(o)),
		"mem="+strconv.Itoa(o.MemoryMB)+"M", "initrd="+o.Initramfs,
		// Without a panic= a panic ends the program; with one, it would start itself again.
		"oops=panic", "random.trust_bootloader=on",
		"console=tty0", "con=null", console,
		// The second serial line is the port to the runner, descriptor 3.
		"ssl=null", "ssl1=null,fd:3",
	)
}
