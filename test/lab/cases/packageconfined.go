// SPDX-License-Identifier: MIT

package cases

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// confined has a hostile user of the machine try what the services must withstand. Nobody is a user without any right, shim6 that of
// the daemons: what somebody is who took one over.
func (x *installed) confined() error {
	e := x.e
	for service, user := range map[string]string{"shim6d": "shim6", "cgad": "shim6"} {
		out, err := x.Shell("", "ps -o user= -p $(systemctl show --value --property=MainPID "+service+")")
		e.Check(service+" runs as "+user, err == nil && strings.TrimSpace(out) == user, "%q %s", out, errText(err))
	}
	for _, unit := range []string{"shim6d.service", "cgad.service", "shim6-signer@1.service"} {
		out, err := x.Run("systemd-analyze", "security", "--no-pager", "--threshold=25", unit)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		e.Check("systemd-analyze security rates it 2.5 at most: "+unit, err == nil, "%s %s", lines[len(lines)-1], errText(err))
	}
	const key = "/etc/shim6/keys/default.pem"
	credentials, err := x.Shell("", "ls -d /run/credentials/shim6-signer@*")
	e.Check("a signer runs", err == nil && strings.Count(credentials, "\n") > 0, "%q %s", credentials, errText(err))
	credentials, _, _ = strings.Cut(credentials, "\n")
	const connect = `perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Peer => shift) or die $!' `
	for _, user := range []string{"nobody", "shim6"} {
		for what, line := range map[string]string{
			"read the private key": "cat " + key, "remove it": "rm -f " + key, "put another in its place": "mv -f /etc/hostname " + key,
			"write to it": "echo x >>" + key, "read it of a signer": "ls " + credentials,
		} {
			x.refused(user, what, line)
		}
	}
	tag, err := x.Shell("", `shim6ctl contexts --json | sed -n 's/.*"tag": *"\([0-9a-f]*\)".*/\1/p' | head -1`)
	if err != nil {
		return err
	}
	for what, line := range map[string]string{
		"switch a context":    fmt.Sprintf("shim6ctl switch %s %v,%v", strings.TrimSpace(tag), x.net.A1, x.net.B1),
		"delete all contexts": "shim6ctl flush", "list them": "shim6ctl contexts", "have the configuration read": "shim6ctl reload",
		"have cgad's read": "cgad reload", "connect to the signer": connect + "/run/shim6-signer.sock", "connect to shim6d": connect + "/run/shim6/shim6.sock",
		"connect to cgad": connect + "/run/shim6/cgad.sock", "stop the service": "kill -9 $(pidof shim6d)",
	} {
		x.refused("nobody", what, line)
	}
	return x.exhausted()
}

func (x *installed) refused(user, what, line string) {
	out, err := x.Shell(user, line)
	x.e.Check(fmt.Sprintf("%s cannot %s", user, what), err != nil && denied.MatchString(out), "%.200q %s", out, errText(err))
}

// denied matches what programs say to whom something is not allowed.
var denied = regexp.MustCompile(`(?i)permission denied|not permitted`)

// exhausted has somebody who may use the socket open connections and send requests without an end.
func (x *installed) exhausted() error {
	const connections, growth = 600, 16 << 10 // KiB
	before, err := x.memory()
	if err != nil {
		return err
	}
	out, err := x.Shell("shim6", fmt.Sprintf(`perl -MIO::Socket::UNIX -e '$SIG{PIPE} = "IGNORE"; my @c; for (1..%d) {
		my $c = IO::Socket::UNIX->new(Peer => "/run/shim6/shim6.sock") or next; print $c "POST /v1/reload HTTP/1.1\r\nX: " . "x" x 60000; push @c, $c } print scalar(@c)'`, connections))
	if err != nil {
		return fmt.Errorf("a flood of requests: %w: %s", err, out)
	}
	after, err := x.memory()
	if err != nil {
		return err
	}
	x.e.Check("a flood of requests without an end takes no memory to speak of", out != "0" && after < before+growth, "%s connections, %d KiB before, %d after", out, before, after)
	// It has to notice first that they are gone.
	var status string
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(time.Second) {
		if status, err = x.Run("shim6ctl", "status"); err == nil {
			break
		}
	}
	x.e.Check("and shim6d answers when it is over", err == nil, "%s %s", status, errText(err))
	return x.held()
}

// held has somebody who may use the socket keep as many connections as there are places for, each with an answer, so that shim6d
// waits a minute for the next request: root is answered all the same. The server lingers half a second on connections of the flood.
func (x *installed) held() error {
	const tries, places = 100, 16
	out, err := x.Shell("shim6", fmt.Sprintf(`perl -MIO::Socket::UNIX -e '$SIG{PIPE} = "IGNORE"; my @c; for (1..%d) {
		my $c = IO::Socket::UNIX->new(Peer => "/run/shim6/shim6.sock") or die $!; print $c "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";
		if (sysread $c, my $b, 1) { push @c, $c } else { select undef, undef, undef, 0.1 } } print scalar(@c); close STDOUT; close STDERR; exit if fork; sleep 40'`, tries))
	if err != nil {
		return fmt.Errorf("connections that are kept: %w: %s", err, out)
	}
	_, err = x.Run("shim6ctl", "status")
	n, parseErr := strconv.Atoi(out)
	x.e.Check("a user has a quarter of the places for connections at most", parseErr == nil && 0 < n && n <= places, "%q of %d connections", out, tries)
	x.e.Check("and root is answered while they are kept", err == nil, "%s", errText(err))
	return nil
}

var residentMemory = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// memory is the most that shim6d ever took, in KiB.
func (x *installed) memory() (int, error) {
	text, err := x.Shell("", "cat /proc/$(systemctl show --value --property=MainPID shim6d)/status")
	if err != nil {
		return 0, err
	}
	m := residentMemory.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("no VmHWM in %q", text)
	}
	return strconv.Atoi(m[1])
}
