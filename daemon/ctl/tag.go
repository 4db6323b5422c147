// SPDX-License-Identifier: MIT

package ctl

import (
	"fmt"
	"strconv"
)

// tagBits is the size of a context tag: RFC 5533 section 7.1.
const tagBits = 47

// ParseTag reads a context tag: 1 to 12 hexadecimal digits, not zero and at most 47 bits.
func ParseTag(s string) (uint64, error) {
	v, err := strconv.ParseUint(s, 16, tagBits)
	if err != nil || v == 0 || len(s) > 12 {
		return 0, fmt.Errorf("%q is not a context tag: 12 hexadecimal digits, at most 7fffffffffff", s)
	}
	return v, nil
}

// FormatTag returns the 12 hexadecimal digits of a context tag, nothing for the zero tag.
func FormatTag(tag uint64) string {
	if tag == 0 {
		return ""
	}
	return fmt.Sprintf("%012x", tag)
}
