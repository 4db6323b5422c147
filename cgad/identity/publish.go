// SPDX-License-Identifier: MIT

package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

const publicMode = 0o444

// publish lets everybody read the parameters in a directory, as all that are made here may be: of those of earlier versions, or of
// cgatool elsewhere, their owner may be the only reader, and cgad is somebody else. Who may write to the directory cannot have
// another file made readable by a link.
func publish(dir string) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("key directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("key directory: %w", err)
	}
	defer root.Close()
	var errs []error
	for _, f := range files {
		if strings.HasSuffix(f.Name(), paramsSuffix) && f.Type().IsRegular() {
			errs = append(errs, publishFile(root, f.Name()))
		}
	}
	return errors.Join(errs...)
}

func publishFile(root *os.Root, name string) error {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	of, ok := st.Sys().(*syscall.Stat_t)
	if !ok || !st.Mode().IsRegular() || of.Nlink != 1 || st.Mode()&publicMode == publicMode {
		return nil
	}
	return f.Chmod(st.Mode().Perm() | publicMode)
}
