// SPDX-License-Identifier: MIT

package run

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"shim6/daemon/engine"
	"shim6/daemon/wire"
)

const (
	savedVersion = 2
	// savedOldest lacks the boot.
	savedOldest = 1
	savedMode   = 0o600
	// savedContext is more than one context takes in the file, and savedHead more than the rest of it.
	savedContext = 32 << 10
	savedHead    = 1 << 10
)

// A savedFile carries contexts over a restart: what the engine knows and the kernel does not.
type savedFile struct {
	path string
	boot string // names the kernel's boot; contexts do not outlive it
	max  int64  // octets
}

func newSavedFile(path, boot string, contexts int) savedFile {
	return savedFile{path: path, boot: boot, max: savedHead + int64(contexts)*savedContext}
}

// A savedForm is the form of the file.
type savedForm struct {
	Version  int                                  `json:"version"`
	Boot     string                               `json:"boot"`
	Contexts map[wire.ContextTag]*engine.Snapshot `json:"contexts"`
}

// read returns the saved contexts; a file that does not exist holds none.
func (f savedFile) read() (map[wire.ContextTag]*engine.Snapshot, error) {
	raw, err := f.octets()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	s, err := f.parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	return s, nil
}

func (f savedFile) octets() ([]byte, error) {
	in, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	raw, err := io.ReadAll(io.LimitReader(in, f.max+1))
	if err == nil && int64(len(raw)) > f.max {
		err = fmt.Errorf("%s: larger than %d octets, which limits.contexts allows", f.path, f.max)
	}
	return raw, err
}

func (f savedFile) parse(raw []byte) (map[wire.ContextTag]*engine.Snapshot, error) {
	// The version comes first: it says what else there may be.
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, err
	}
	if head.Version < savedOldest || head.Version > savedVersion {
		return nil, fmt.Errorf("version %d, not %d to %d", head.Version, savedOldest, savedVersion)
	}
	var s savedForm
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, err
	}
	if s.Version > savedOldest && s.Boot != f.boot {
		return nil, errors.New("it is from before the last reboot")
	}
	for tag, c := range s.Contexts {
		if c == nil || c.TagLocal != tag {
			return nil, fmt.Errorf("context %s is under another tag", tag)
		}
	}
	return s.Contexts, nil
}

// write replaces the file at once, so that a reader finds the old one or the new one. What a crash in the middle leaves
// beside it is written over the next time. It calls rest after each few contexts.
func (f savedFile) write(list []engine.Snapshot, rest func()) error {
	aside := f.path + ".new"
	out, err := os.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, savedMode)
	if err != nil {
		return err
	}
	err = errors.Join(f.encode(out, list, rest), out.Chmod(savedMode), out.Close())
	if err == nil {
		err = os.Rename(aside, f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	return nil
}

// encode writes a savedForm, one context after the other.
func (f savedFile) encode(out io.Writer, list []engine.Snapshot, rest func()) error {
	w := bufio.NewWriter(out)
	boot, err := json.Marshal(f.boot)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, `{"version":%d,"boot":%s,"contexts":{`, savedVersion, boot)
	for i := range list {
		raw, err := json.Marshal(&list[i])
		if err != nil {
			return err
		}
		if i > 0 {
			w.WriteByte(',')
		}
		fmt.Fprintf(w, `"%d":%s`, uint64(list[i].TagLocal), raw)
		if i%encodedAtOnce == encodedAtOnce-1 {
			rest()
		}
	}
	w.WriteString("}}")
	return w.Flush()
}
