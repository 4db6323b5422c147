// SPDX-License-Identifier: MIT

// Package kmsg reads the kernel's log and finds complaints in it.
package kmsg

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bad matches lines that a healthy kernel never writes.
var bad = regexp.MustCompile(`WARNING:|BUG:|\bBUG\b|Oops|KASAN|KFENCE|UBSAN|refcount_t|unregister_netdevice: waiting|` +
	`general protection|Call Trace|possible recursive locking|suspicious RCU|scheduling while atomic|rcu.*stall|` +
	`soft lockup|hung_task|blocked for more than|leaked|new suspected memory leaks|divide error|unable to handle|Kernel panic|` +
	`locking dependency|lockdep is turned off|hw csum failure`)

// Read returns the whole log, one line an entry, stamped in seconds since boot.
func Read() (string, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: "/dev/kmsg", Err: err}
	}
	defer unix.Close(fd)
	var log strings.Builder
	record := make([]byte, 8192)
	for {
		n, err := unix.Read(fd, record)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return log.String(), nil
		case errors.Is(err, unix.EPIPE): // overwritten while we read: the next read goes on behind the hole
			log.WriteString("-- entries lost --\n")
		case err != nil:
			return "", fmt.Errorf("read /dev/kmsg: %w", err)
		default:
			log.WriteString(format(string(record[:n])))
		}
	}
}

// format turns "6,339,5140900,-;text\n SUBSYSTEM=x\n" into "[    5.140900] text\n".
func format(record string) string {
	head, text, ok := strings.Cut(record, ";")
	fields := strings.Split(head, ",")
	if !ok || len(fields) < 3 {
		return record
	}
	text, _, _ = strings.Cut(text, "\n")
	us, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return text + "\n"
	}
	return fmt.Sprintf("[%12.6f] %s\n", (time.Duration(us) * time.Microsecond).Seconds(), text)
}

// Complaints returns the lines of a log that tell of a fault in the kernel, without those of Aside.
func Complaints(log string) []string {
	var found []string
	for {
		before, rest, ok := strings.Cut(log, asideBegins)
		_, after, over := strings.Cut(rest, asideEnds)
		if !ok || !over { // a kernel that dies in the middle must not be believed to be sound
			return append(found, complaints(log)...)
		}
		found, log = append(found, complaints(before)...), after
	}
}

func complaints(log string) []string {
	var found []string
	for line := range strings.Lines(log) {
		if bad.MatchString(line) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}
