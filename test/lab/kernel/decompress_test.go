// SPDX-License-Identifier: MIT

package kernel

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFilesAppearAtOnce(t *testing.T) {
	dir := t.TempDir()
	raw := make([]byte, 1<<20)
	errs := make(chan error)
	for range 8 {
		go func() { errs <- appear(filepath.Join(dir, "esp6.ko"), raw) }()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}
