// SPDX-License-Identifier: MIT

package report

import "net/netip"

// A Negotiation is how two hosts establish contexts with each other, some times. Files of its name and -a and -b say what they tell of
// themselves; Key is a file, too.
type Negotiation struct {
	Name string
	Key  string
	A, B netip.Addr // ULIDs
	Runs int
}
