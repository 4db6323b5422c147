// SPDX-License-Identifier: MIT

package traffic

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
)

// Fill writes a file of random octets; equal seeds give equal files.
func Fill(path string, size int64, seed uint64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	var key [32]byte
	key[0] = byte(seed)
	if _, err := io.CopyN(f, rand.NewChaCha8(key), size); err != nil {
		f.Close()
		return fmt.Errorf("fill %s: %w", path, err)
	}
	return f.Close()
}

// Compare returns the size of the received file and whether it is octet by octet the sent one.
func Compare(sent, received string) (size int64, same bool, err error) {
	x, err := os.Open(sent)
	if err != nil {
		return 0, false, err
	}
	defer x.Close()
	y, err := os.Open(received)
	if errors.Is(err, os.ErrNotExist) {
		return 0, false, nil // the receiver never got as far as to make it
	}
	if err != nil {
		return 0, false, err
	}
	defer y.Close()
	a, b := make([]byte, 1<<16), make([]byte, 1<<16)
	same = true
	for {
		m, errX := io.ReadFull(x, a)
		n, errY := io.ReadFull(y, b)
		size += int64(n)
		same = same && bytes.Equal(a[:m], b[:n])
		if n < len(b) {
			return size, same && errX != nil, ignoreEnd(errY)
		}
	}
}

func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
