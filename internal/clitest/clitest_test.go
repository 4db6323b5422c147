// SPDX-License-Identifier: MIT

package clitest

import "testing"

func TestFault(t *testing.T) {
	m := Mistake{Error: `^no file$`, Hint: `^name `}
	for text, good := range map[string]bool{
		"x: error: no file\nhint: name one\n":                  true,
		"x: error: other\nx: error: no file\nhint: name one\n": true,
		"x: error: no file\n":                                  false,
		"x: error: no file\nhint: other\n":                     false,
		"x: error: other\nhint: name one\n":                    false,
		"hint: name one\n":                                     false,
		"":                                                     false,
		"hint: name one\nx: error: no file\n":                  false,
		"x: error: no file\nUsage: x\nhint: name one\n":        false,
		"panic: oh\nx: error: no file\nhint: name one\n":       false,
		"y: error: no file\nhint: name one\n":                  false,
		"x: error: no file\nhint: name one\nhint: name two\n":  false,
	} {
		if got := fault("x", text, m); (got == "") != good {
			t.Errorf("%q: %q", text, got)
		}
	}
}
