// SPDX-License-Identifier: MIT

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"shim6/internal/cga"
)

// A madeKey is the JSON result of keygen.
type madeKey struct {
	Key  string `json:"key"`
	Bits int    `json:"bits"`
}

func (t *tool) keygenCommand() *cobra.Command {
	var bits int
	var out string
	c := &cobra.Command{
		Use:     "keygen",
		Short:   "make an RSA key",
		Long:    "keygen makes an RSA key and writes it to a PEM file that only its owner can read.",
		Example: "  cgatool keygen --bits 3072 --out /etc/shim6/keys/site.pem",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch {
			case out == "":
				return usagef("--out is missing")
			case bits < cga.MinKeyBits || bits > cga.MaxKeyBits:
				return usagef("--bits is %d to %d, not %d", cga.MinKeyBits, cga.MaxKeyBits, bits)
			}
			t.started = true
			return t.keygen(bits, out)
		},
	}
	c.Flags().SortFlags = false
	c.Flags().IntVar(&bits, "bits", 2048, "size of the RSA key in `bits`, 1024 to 8192")
	c.Flags().StringVar(&out, "out", "", "PEM `file` to write")
	return c
}

func (t *tool) keygen(bits int, out string) error {
	if err := checkNew(out); err != nil {
		return err
	}
	key, err := cga.NewKey(bits)
	if err != nil {
		return err
	}
	if err := cga.WriteKey(out, key); err != nil {
		return err
	}
	if t.json {
		return t.printJSON(madeKey{Key: out, Bits: bits})
	}
	fmt.Fprintf(t.stderr, "cgatool: wrote %s\n", out)
	return nil
}
