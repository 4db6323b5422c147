// SPDX-License-Identifier: MIT

package report

import (
	"fmt"
	"net/netip"
	"time"
)

// A Transfer is what the guest knows about one transfer across a failure. Times are of the guest's clock, which also stamps
// captures and logs.
type Transfer struct {
	Name     string
	Start    time.Time // the receiver is started
	Cut      time.Time // the provider fails
	End      time.Time // the last look at the receiver
	Finished bool      // sender and receiver ended well by themselves
	Trouble  string    // why they did not
	Sent     int64     // octets of the file
	Received int64
	Same     bool // what was received is what was sent, octet by octet
}

// CaptureName names the file with what passed a device during a transfer.
func CaptureName(transfer, node, device string) string {
	return fmt.Sprintf("%s-%s-%s.pcap", transfer, node, device)
}

// ReceivedName names the file that the receiver wrote, SentName the one that was sent.
func ReceivedName(transfer string) string { return transfer + ".received" }

// SentName is the file that every transfer of a case sends.
const SentName = "sent"

// A Demo is what the guest knows of both runs of the demonstration.
type Demo struct {
	A1, A2, B1       netip.Addr
	Control, Shim6   Transfer
	LocatorsBefore   string // current locator pair of a before the failure
	LocatorsAfter    string
	TagA, TagB       string // local context tags
	ProbesA, ProbesB uint64 // sent by each host
}

// DemoName is the file that a Demo is in.
const DemoName = "demo.json"

// A FailoverRun is what the guest knows of one of the failovers in a row.
type FailoverRun struct {
	TSend    time.Duration
	Transfer Transfer
	// Provider is the one that failed; Before and After are the current locator pairs of a.
	Provider      int
	Before, After string
}

// FailoverName is the file with every FailoverRun.
const FailoverName = "failover.json"

// DaemonLog names the log of a host's daemon.
func DaemonLog(node string) string { return node + "-shim6d.log" }
