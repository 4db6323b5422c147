// SPDX-License-Identifier: MIT

package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/wire"
)

const (
	savedVersion = 1
	savedMax     = 256 << 20
	savedMode    = 0o600
)

// A savedFile is the form of the file that carries contexts over a restart: what the engine knows and the kernel does not.
type savedFile struct {
	Version  int                                  `json:"version"`
	Contexts map[wire.ContextTag]*engine.Snapshot `json:"contexts"`
}

// readSaved reads the file; one that does not exist holds no contexts.
func readSaved(path string) (map[wire.ContextTag]*engine.Snapshot, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	var s savedFile
	d := json.NewDecoder(io.LimitReader(f, savedMax))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if s.Version != savedVersion {
		return nil, fmt.Errorf("%s: version %d, not %d", path, s.Version, savedVersion)
	}
	for tag, c := range s.Contexts {
		if c == nil || c.TagLocal != tag {
			return nil, fmt.Errorf("%s: context %s is under another tag", path, tag)
		}
	}
	return s.Contexts, nil
}

// writeSaved replaces the file at once, so that a reader finds the old one or the new one.
func writeSaved(path string, list []engine.Snapshot) error {
	s := savedFile{Version: savedVersion, Contexts: make(map[wire.ContextTag]*engine.Snapshot, len(list))}
	for i := range list {
		s.Contexts[list[i].TagLocal] = &list[i]
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(s); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	err = errors.Join(err, f.Chmod(savedMode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// A saver writes the file in a goroutine of its own.
type saver struct {
	path  string
	log   *slog.Logger
	stats *counters
	next  chan []engine.Snapshot
	done  chan struct{}
}

func newSaver(path string, log *slog.Logger, stats *counters) *saver {
	s := &saver{path: path, log: log, stats: stats, next: make(chan []engine.Snapshot, 1), done: make(chan struct{})}
	go s.run()
	return s
}

// put has list written next, instead of one that waits.
func (s *saver) put(list []engine.Snapshot) {
	select {
	case <-s.next:
	default:
	}
	s.next <- list
}

// close waits until what was put is written.
func (s *saver) close() {
	close(s.next)
	<-s.done
}

func (s *saver) run() {
	defer close(s.done)
	for list := range s.next {
		s.stats.saves.Add(1)
		if err := writeSaved(s.path, list); err != nil {
			s.stats.saveErrors.Add(1)
			s.log.Error("contexts not saved: the next daemon will drop them", "error", err)
		}
	}
}

// save has the contexts that the kernel holds written.
func (l *Loop) save() {
	l.saveAt = time.Time{}
	var list []engine.Snapshot
	for _, s := range l.engine.Contexts() {
		if l.held[s.TagLocal] != nil {
			list = append(list, s)
		}
	}
	l.saver.put(list)
}
