// SPDX-License-Identifier: MIT

package kmsg

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Between these lines of the log the complaints are whoever's wrote them.
const (
	asideBegins = "lab: aside begins"
	asideEnds   = "lab: aside ends"
)

// onceAgain makes the kernel give warnings that it gives once only.
const onceAgain = "/sys/kernel/debug/clear_warn_once"

// Aside calls f, and returns what the kernel complained of meanwhile. It is for the caller to judge: Complaints leaves it out.
// Warnings that the kernel gives only once may come in it, whether they have come before or not.
func Aside(f func() error) ([]string, error) {
	if err := os.WriteFile(onceAgain, []byte("1"), 0); err != nil {
		return nil, err
	}
	if err := mark(asideBegins); err != nil {
		return nil, err
	}
	err := errors.Join(f(), mark(asideEnds))
	log, readErr := Read()
	if err := errors.Join(err, readErr); err != nil {
		return nil, err
	}
	at := strings.LastIndex(log, asideBegins)
	if at < 0 {
		return nil, fmt.Errorf("the log does not go back to %q", asideBegins)
	}
	return complaints(log[at:]), nil
}

// mark writes a line as loud as an error, for the console to have it, too. Without its end, readers would not see it before the
// next one.
func mark(line string) error { return os.WriteFile("/dev/kmsg", []byte("<3>"+line+"\n"), 0) }
