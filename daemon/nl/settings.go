// SPDX-License-Identifier: MIT

package nl

// Settings are those of the network namespace. In a request a nil pointer leaves the setting as it is; in an answer of
// the kernel every pointer is set.
type Settings struct {
	Enabled    *bool // hooked; the kernel refuses false while contexts live
	Heuristic  *string
	TCPKick    *bool
	RTOHint    *bool // events RTO are sent
	GSOMode    *GSOMode
	GSODevices []Device // for devices whose mode differs, the first that matches counts; nil leaves them, too
	MarkMask   *uint32
	Heuristics []string // those that the kernel knows; only read
}

func (s *Settings) message() *message {
	m := new(message)
	if s.Enabled != nil {
		m.setBool(attrEnabled, *s.Enabled)
	}
	if s.Heuristic != nil {
		m.str = *s.Heuristic
		m.mark(attrHeuristic)
	}
	if s.TCPKick != nil {
		m.setBool(attrTCPKick, *s.TCPKick)
	}
	if s.RTOHint != nil {
		m.setBool(attrRTOHint, *s.RTOHint)
	}
	if s.GSOMode != nil {
		m.set(attrGSOMode, uint64(*s.GSOMode))
	}
	if s.GSODevices != nil {
		m.rules = s.GSODevices
		m.mark(attrGSODevices)
	}
	if s.MarkMask != nil {
		m.set(attrMarkMask, uint64(*s.MarkMask))
	}
	return m
}

func (m *message) settings() (Settings, error) {
	if err := m.need(attrEnabled, attrHeuristic, attrTCPKick, attrRTOHint, attrGSOMode, attrMarkMask); err != nil {
		return Settings{}, err
	}
	enabled, kick, rto := m.num[attrEnabled] != 0, m.num[attrTCPKick] != 0, m.num[attrRTOHint] != 0
	gso, mask, name := GSOMode(m.num[attrGSOMode]), uint32(m.num[attrMarkMask]), m.str
	return Settings{
		Enabled: &enabled, Heuristic: &name, TCPKick: &kick, RTOHint: &rto, GSOMode: &gso, MarkMask: &mask, Heuristics: m.names,
		GSODevices: m.rules,
	}, nil
}
