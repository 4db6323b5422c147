// SPDX-License-Identifier: MIT

package trace

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The names that columns have in the CSV of nfdump 1.6 and of 1.7.
var columns = map[string][]string{
	"start":    {"ts", "firstSeen"},
	"end":      {"te", "lastSeen"},
	"duration": {"td", "duration"},
	"src":      {"sa", "srcAddr"},
	"dst":      {"da", "dstAddr"},
	"packets":  {"ipkt", "packets"},
	"bytes":    {"ibyt", "bytes"},
}

// csvRecords reads what nfdump -o csv writes.
type csvRecords struct {
	skips
	in *csv.Reader
	at map[string]int // column of a name above
}

func looksLikeCSV(in *bufio.Reader) bool {
	head, _ := in.Peek(512) // what there is will do
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return bytes.HasPrefix(line, []byte("ts,")) || bytes.HasPrefix(line, []byte("firstSeen,"))
}

func newCSV(in *bufio.Reader) (*csvRecords, error) {
	c := &csvRecords{skips: make(skips), in: csv.NewReader(in), at: make(map[string]int)}
	c.in.FieldsPerRecord = -1 // the summary at the end has fewer
	c.in.ReuseRecord = true
	header, err := c.in.Read()
	if err != nil {
		return nil, fmt.Errorf("header of the CSV: %w", err)
	}
	for name, spellings := range columns {
		for i, h := range header {
			for _, s := range spellings {
				if strings.EqualFold(strings.TrimSpace(h), s) {
					c.at[name] = i
				}
			}
		}
	}
	for _, name := range []string{"start", "src", "dst", "packets", "bytes"} {
		if _, ok := c.at[name]; !ok {
			return nil, fmt.Errorf("the CSV has no column %s: %s", strings.Join(columns[name], " or "), strings.Join(header, ","))
		}
	}
	if _, ok := c.at["end"]; !ok {
		if _, ok := c.at["duration"]; !ok {
			return nil, errors.New("the CSV has neither an end nor a duration")
		}
	}
	return c, nil
}

func (c *csvRecords) Next() (Record, error) {
	fields, err := c.in.Read()
	if errors.Is(err, io.EOF) {
		return Record{}, io.EOF
	}
	if err != nil {
		return Record{}, err
	}
	if strings.TrimSpace(fields[0]) == "Summary" {
		// Nothing but the summary follows.
		return Record{}, io.EOF
	}
	r, err := c.record(fields)
	if err == nil {
		err = r.check()
	}
	if err != nil {
		line, _ := c.in.FieldPos(0)
		return Record{}, fmt.Errorf("line %d: %w", line, err)
	}
	return r, nil
}

func (c *csvRecords) record(fields []string) (r Record, err error) {
	get := func(name string) string {
		if i, ok := c.at[name]; ok && i < len(fields) {
			return strings.TrimSpace(fields[i])
		}
		return ""
	}
	if r.Start, err = csvTime(get("start")); err != nil {
		return r, err
	}
	if end := get("end"); end != "" {
		if r.End, err = csvTime(end); err != nil {
			return r, err
		}
	} else {
		seconds, err := strconv.ParseFloat(get("duration"), 64)
		if err != nil || seconds < 0 || seconds > 1e9 {
			return r, fmt.Errorf("duration %q", get("duration"))
		}
		r.End = r.Start.Add(time.Duration(seconds * float64(time.Second)))
	}
	if r.Src, err = netip.ParseAddr(get("src")); err != nil {
		return r, fmt.Errorf("source: %w", err)
	}
	if r.Dst, err = netip.ParseAddr(get("dst")); err != nil {
		return r, fmt.Errorf("destination: %w", err)
	}
	if r.Packets, err = strconv.ParseUint(get("packets"), 10, 64); err != nil {
		return r, fmt.Errorf("packets: %w", err)
	}
	if r.Bytes, err = strconv.ParseUint(get("bytes"), 10, 64); err != nil {
		return r, fmt.Errorf("bytes: %w", err)
	}
	return r, nil
}

func csvTime(text string) (time.Time, error) {
	t, err := time.Parse("2006-01-02 15:04:05.999999999", text)
	if err != nil {
		return t, fmt.Errorf("time %q is not of the form 2008-08-01 12:00:00.000", text)
	}
	return t, nil
}
