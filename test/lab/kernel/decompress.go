// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Load returns the module as the kernel wants it, decompressed. Decompressed files are kept under keep, which is
// specific to one kernel release.
func (m Module) Load(keep string) ([]byte, error) {
	packed := strings.HasSuffix(m.Path, ".xz") || strings.HasSuffix(m.Path, ".zst")
	if !packed {
		return os.ReadFile(m.Path)
	}
	kept := filepath.Join(keep, m.Name+".ko")
	if raw, err := os.ReadFile(kept); err == nil {
		return raw, nil
	}
	raw, err := unpack(m.Path)
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", m.Path, err)
	}
	if err := os.MkdirAll(keep, 0o755); err != nil {
		return nil, err
	}
	// Rename makes the file appear complete, so two runs may fill the same folder.
	temp := fmt.Sprintf("%s.%d", kept, os.Getpid())
	if err := os.WriteFile(temp, raw, 0o644); err != nil {
		return nil, err
	}
	return raw, os.Rename(temp, kept)
}

func unpack(path string) ([]byte, error) {
	packed, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(path, ".zst") {
		d, err := zstd.NewReader(nil)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		return d.DecodeAll(packed, nil)
	}
	r, err := xz.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
