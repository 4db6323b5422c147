// SPDX-License-Identifier: MIT

package traffic

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCompare(t *testing.T) {
	dir := t.TempDir()
	sent := filepath.Join(dir, "sent")
	if err := Fill(sent, 1<<17, 1); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(sent)
	if err != nil {
		t.Fatal(err)
	}
	changed := append([]byte(nil), whole...)
	changed[100000] ^= 1
	for name, c := range map[string]struct {
		received []byte
		same     bool
	}{
		"equal":         {whole, true},
		"one bit":       {changed, false},
		"one too short": {whole[:len(whole)-1], false},
		"block short":   {whole[:1<<16], false},
		"one too long":  {append(append([]byte(nil), whole...), 0), false},
		"empty":         {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			received := filepath.Join(dir, name)
			if err := os.WriteFile(received, c.received, 0o644); err != nil {
				t.Fatal(err)
			}
			size, same, err := Compare(sent, received)
			if err != nil || size != int64(len(c.received)) || same != c.same {
				t.Errorf("Compare = %d, %v, %v, want %d, %v", size, same, err, len(c.received), c.same)
			}
		})
	}
}
