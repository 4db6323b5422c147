// SPDX-License-Identifier: MIT

package cga

import (
	"errors"
	"fmt"
)

const tagSequence = 0x30

// sequenceLen gives the length, header included, of the DER SEQUENCE that b starts with. Nothing else tells where the
// public key of the structure ends (RFC 3972 section 3), so the length octets must be definite and minimal, as DER asks.
func sequenceLen(b []byte) (int, error) {
	if len(b) < 2 {
		return 0, fmt.Errorf("%d octets, a DER header has at least 2", len(b))
	}
	if b[0] != tagSequence {
		return 0, fmt.Errorf("DER tag 0x%02x, want 0x%02x (sequence)", b[0], tagSequence)
	}
	size, header := int(b[1]), 2
	switch {
	case b[1] == 0x80:
		return 0, errors.New("indefinite DER length")
	case b[1] > 0x80:
		n := int(b[1] & 0x7f)
		// The structure has at most 65535 octets, so two length octets say all there is to say.
		if n > 2 {
			return 0, fmt.Errorf("DER length of %d octets, at most 2 are possible here", n)
		}
		if len(b) < 2+n {
			return 0, errors.New("ends inside its DER length")
		}
		size, header = 0, 2+n
		for _, o := range b[2 : 2+n] {
			size = size<<8 | int(o)
		}
		if size < 0x80 || n == 2 && size < 0x100 {
			return 0, fmt.Errorf("DER length %d is not in its shortest form", size)
		}
	}
	if size > len(b)-header {
		return 0, fmt.Errorf("DER length %d, only %d octets are left", size, len(b)-header)
	}
	return header + size, nil
}
