// SPDX-License-Identifier: MIT

// Package ra parses Router Advertisements (RFC 4861 section 4.2) one option at a time, so that an option that cannot be
// used costs nothing but itself, and encodes Router Solicitations.
package ra
