// SPDX-License-Identifier: MIT

package advice

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The errors are those of the operating system itself.
func TestFor(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	open := func(name string) error {
		_, err := os.ReadFile(name)
		return err
	}
	listen := func(address string) error {
		_, err := net.Listen("tcp", address)
		return err
	}
	for _, tc := range []struct {
		err  error
		want string
	}{
		{open(filepath.Join(dir, "none")), "check the name"},
		{open(filepath.Join(file, "x")), "a part of the name is a file"},
		{open(dir), "not a directory"},
		{open(filepath.Join(dir, strings.Repeat("x", 300))), "shorter"},
		{os.Mkdir(dir, 0o700), "choose another name"},
		{listen(l.Addr().String()), "another process listens"},
		{listen("[2001:db8::1]:0"), "this host does not have"},
		{fmt.Errorf("two: %w", errors.Join(errors.New("other"), os.ErrPermission)), "run it as root"},
		{errors.New("other"), ""},
		{nil, ""},
	} {
		if got := For(tc.err); tc.want == "" != (got == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%v: %q, want %q", tc.err, got, tc.want)
		}
	}
}
