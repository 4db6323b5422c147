// SPDX-License-Identifier: MIT

package identity

import (
	"os"
	"path/filepath"
	"testing"
)

func TestParametersAreMadeReadable(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	file := func(dir, name string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret, shared := file(elsewhere, "shadow", 0o600), file(elsewhere, "gshadow", 0o600)
	want := map[string]os.FileMode{
		file(dir, "old.pds", 0o600):   0o644,
		file(dir, "group.pds", 0o640): 0o644,
		file(dir, "new.pds", 0o644):   0o644,
		file(dir, "key.pem", 0o600):   0o600,
		// What is reached by a link is another file.
		secret: 0o600, shared: 0o600,
	}
	if err := os.Symlink(secret, filepath.Join(dir, "symbolic.pds")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(shared, filepath.Join(dir, "hard.pds")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.pds"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := publish(dir); err != nil {
			t.Fatal(err)
		}
		for path, mode := range want {
			if st, err := os.Stat(path); err != nil || st.Mode() != mode {
				t.Errorf("%s: %v, %v; want %v", filepath.Base(path), st.Mode(), err, mode)
			}
		}
	}
	if err := publish(filepath.Join(dir, "none")); err != nil {
		t.Errorf("no directory: %v", err)
	}
}
