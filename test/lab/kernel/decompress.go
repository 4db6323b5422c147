// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"errors"
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
	return raw, appear(kept, raw)
}

// appear writes a file that is complete as soon as it is there, so that several cases may fill the same folder.
func appear(name string, raw []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
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
