// SPDX-License-Identifier: MIT

package kernel

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
)

const settingsDir = "/proc/sys/net/ipv6/conf"

// The settings that are changed, and what they mean here.
const (
	settingAutoconf   = "autoconf"
	settingAcceptRA   = "accept_ra"
	settingForwarding = "forwarding"
	acceptAsRouter    = "2" // of accept_ra: take advertisements though the interface forwards
)

// A saved is a setting as it was.
type saved struct {
	Link   int    `json:"link"`
	Name   string `json:"name"` // of the setting
	Before string `json:"before"`
	After  string `json:"after"`
}

// settings changes settings of interfaces and puts them back. The file holds what is to be put back.
type settings struct {
	file string
	list []saved
}

// newSettings reads what an earlier run changed and did not put back. A file that makes no sense is like none.
func newSettings(file string) settings {
	s := settings{file: file}
	if b, err := os.ReadFile(file); err == nil {
		if json.Unmarshal(b, &s.list) != nil {
			s.list = nil
		}
	}
	return s
}

func (s *settings) store() error {
	b, err := json.Marshal(s.list)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.file), 0o755); err != nil {
		return err
	}
	tmp := s.file + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, s.file)
}

func settingPath(iface, name string) string {
	return filepath.Join(settingsDir, iface, name)
}

func readSetting(iface, name string) (string, error) {
	b, err := os.ReadFile(settingPath(iface, name))
	return strings.TrimSpace(string(b)), err
}

// manage turns the kernel's address configuration off on an interface. One that forwards takes advertisements from now on,
// since it would not be managed if the administrator had not asked for it.
func (s *settings) manage(link int) error {
	iface, err := net.InterfaceByIndex(link)
	if err != nil {
		return fmt.Errorf("settings of interface %d: %w", link, err)
	}
	if err := s.set(iface, settingAutoconf, "0"); err != nil {
		return err
	}
	router, err := takesNoAdvertisements(iface.Name)
	if err != nil {
		return fmt.Errorf("settings of %s: %w", iface.Name, err)
	}
	if router {
		return s.set(iface, settingAcceptRA, acceptAsRouter)
	}
	return nil
}

func (s *settings) set(iface *net.Interface, name, value string) error {
	before, err := readSetting(iface.Name, name)
	if err != nil {
		return fmt.Errorf("setting %s of %s: %w", name, iface.Name, err)
	}
	if before == value {
		return nil // as it is to be, or changed by an earlier run that noted what it was
	}
	s.list = append(s.forget(iface.Index, name), saved{iface.Index, name, before, value})
	// Noted first: whatever happens, it can be put back.
	if err := s.store(); err != nil {
		return fmt.Errorf("note setting %s of %s: %w", name, iface.Name, err)
	}
	return write(iface.Name, name, value)
}

func write(iface, name, value string) error {
	if err := os.WriteFile(settingPath(iface, name), []byte(value), 0); err != nil {
		return fmt.Errorf("setting %s of %s: %w", name, iface, err)
	}
	return nil
}

func (s *settings) forget(link int, name string) []saved {
	var rest []saved
	for _, x := range s.list {
		if x.Link != link || x.Name != name {
			rest = append(rest, x)
		}
	}
	return rest
}

// release puts the settings of an interface back, but for those that somebody has changed since.
func (s *settings) release(link int) error {
	var errs []error
	for _, x := range s.list {
		if x.Link == link {
			errs = append(errs, s.putBack(x))
			s.list = s.forget(x.Link, x.Name)
		}
	}
	return errors.Join(append(errs, s.store())...)
}

func (s *settings) putBack(x saved) error {
	iface, err := net.InterfaceByIndex(x.Link)
	if err != nil {
		return nil // its settings went with it
	}
	switch now, err := readSetting(iface.Name, x.Name); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("setting %s of %s: %w", x.Name, iface.Name, err)
	case now != x.After:
		return nil
	}
	return write(iface.Name, x.Name, x.Before)
}

// takesNoAdvertisements reports whether the interface is a router's, which takes advertisements only when told so. The
// error is fs.ErrNotExist for one without IPv6, and for a moment for one that is renamed.
func takesNoAdvertisements(iface string) (bool, error) {
	forwarding, err := readSetting(iface, settingForwarding)
	if err != nil || forwarding == "0" {
		return false, err
	}
	accept, err := readSetting(iface, settingAcceptRA)
	return accept != acceptAsRouter, err
}
