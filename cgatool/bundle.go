// SPDX-License-Identifier: MIT

package main

import (
	"archive/tar"
	"bytes"
	"crypto/rsa"
	"fmt"
	"time"

	"shim6/internal/cga"
)

// bundle makes the tar file that another host unpacks in its key directory: the private key, where there is one, the
// parameters, and a text file with the addresses, one on each line in the order of the prefixes. Equal results give equal
// octets.
func bundle(name string, r *result, key *rsa.PrivateKey) ([]byte, error) {
	type file struct {
		name     string
		contents []byte
	}
	var files []file
	if key != nil {
		b, err := cga.MarshalKey(key)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name + ".pem", b})
	}
	var list bytes.Buffer
	for _, a := range r.addresses {
		fmt.Fprintln(&list, a)
	}
	files = append(files, file{name + ".pds", r.params.Marshal()}, file{name + ".addresses", list.Bytes()})

	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.name, Mode: 0o600, Size: int64(len(f.contents)), ModTime: time.Unix(0, 0), Uname: "root", Gname: "root",
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("bundle: %w", err)
		}
		if _, err := w.Write(f.contents); err != nil {
			return nil, fmt.Errorf("bundle: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return b.Bytes(), nil
}
