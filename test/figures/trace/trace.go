// SPDX-License-Identifier: MIT

// Package trace reads records of traffic: files of NetFlow v5 and v9 and IPFIX messages, nfdump's CSV and packet captures. It
// reads one record after the other, so a file may be of any size.
package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"time"
)

// A Record is some packets from one host to another: those of a flow, or a single one.
type Record struct {
	Src, Dst   netip.Addr
	Start, End time.Time // of the first and the last packet
	Packets    uint64    // one at least
	Bytes      uint64
}

// A Reader gives records in the order in which the file has them, then io.EOF. Other errors say where in the file what is
// wrong.
type Reader interface {
	Next() (Record, error)
	// Skipped counts what the file has besides usable records, by reason.
	Skipped() map[string]uint64
}

// Formats of files.
const (
	Auto    = "auto"
	NetFlow = "netflow" // messages of NetFlow v5, v9 or IPFIX, one behind the other (RFC 5655 for IPFIX)
	CSV     = "csv"     // of nfdump -o csv
	PCAP    = "pcap"    // the traffic itself, pcap or pcapng
	Export  = "export"  // a capture of NetFlow or IPFIX messages on their way to a collector
)

// Formats returns the names of the formats.
func Formats() []string { return []string{Auto, NetFlow, CSV, PCAP, Export} }

// A File is an open file of records.
type File struct {
	Reader
	Format string // found out, where it was Auto
	closer io.Closer
}

// Close closes the file.
func (f *File) Close() error { return f.closer.Close() }

// Open opens a file in a format. What gzip compressed is read as well.
func Open(path, format string) (*File, error) {
	if !slices.Contains(Formats(), format) {
		return nil, fmt.Errorf("there is no format %q, there are %v", format, Formats())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, format, err := open(f, format)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return &File{Reader: r, Format: format, closer: f}, nil
}

// window is how much is read ahead to find out what a file is.
const window = 1 << 16

func open(f io.Reader, format string) (Reader, string, error) {
	in := bufio.NewReaderSize(f, window)
	if head, err := in.Peek(2); err == nil && head[0] == 0x1f && head[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, "", err
		}
		in = bufio.NewReaderSize(z, window)
	}
	if format == Auto {
		var err error
		if format, err = detect(in); err != nil {
			return nil, "", err
		}
	}
	switch format {
	case NetFlow:
		return newMessages(in), format, nil
	case CSV:
		r, err := newCSV(in)
		return r, format, err
	case PCAP:
		r, err := newPackets(in)
		return r, format, err
	default:
		r, err := newExport(in)
		return r, format, err
	}
}

// detect finds out a format. Traffic and messages to a collector cannot be told apart: Auto takes a capture for traffic.
func detect(in *bufio.Reader) (string, error) {
	head, err := in.Peek(4)
	if errors.Is(err, io.EOF) {
		return "", errors.New("the file is empty or shorter than a header")
	}
	if err != nil {
		return "", err
	}
	switch {
	case slices.ContainsFunc(captureMagics, func(m []byte) bool { return bytes.Equal(m, head) }):
		return PCAP, nil
	case head[0] == 0 && (head[1] == 5 || head[1] == 9 || head[1] == 10):
		return NetFlow, nil
	case looksLikeCSV(in):
		return CSV, nil
	}
	return "", fmt.Errorf("unknown kind of file, it begins with % x", head)
}

// check tells what makes a record useless.
func (r *Record) check() error {
	switch {
	case !r.Src.IsValid() || !r.Dst.IsValid():
		return errors.New("no addresses")
	case r.Packets == 0:
		return errors.New("no packets")
	case r.End.Before(r.Start):
		return fmt.Errorf("it ends at %v, before it starts at %v", r.End.UTC(), r.Start.UTC())
	case r.Start.Year() < 1970 || r.End.Year() > 2200:
		return fmt.Errorf("it starts at %v and ends at %v", r.Start.UTC(), r.End.UTC())
	}
	return nil
}

// skips counts what is left out.
type skips map[string]uint64

func (s skips) Skipped() map[string]uint64 { return s }
