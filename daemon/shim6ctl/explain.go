// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"shim6/daemon/ctl"
)

func (e *env) explain() *cobra.Command {
	return &cobra.Command{
		Use: "explain PEER[:PORT]", Short: "say whether what goes to a peer is protected, and why or why not", Args: cobra.ExactArgs(1),
		Long: `explain walks through what decides whether packets to a peer outlive the failure
of a path. The exit status is 1 where something that goes there is not
protected.`,
		Example: `  shim6ctl explain 2001:db8:b1::1
  shim6ctl explain [2001:db8:b1::1]:443
  shim6ctl explain www.example.org:443 --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			host, port, err := parsePeer(args[0])
			if err != nil {
				return err
			}
			get := func(c *ctl.Client, ctx context.Context) ([]ctl.Explanation, error) {
				addrs, err := resolve(ctx, host)
				if err != nil {
					return nil, err
				}
				var all []ctl.Explanation
				for _, a := range addrs {
					list, err := c.Explain(ctx, a, port)
					if err != nil {
						return nil, err
					}
					all = append(all, list...)
				}
				return all, nil
			}
			var all []ctl.Explanation
			if err := show(e, cmd.Context(), func(c *ctl.Client, ctx context.Context) ([]ctl.Explanation, error) {
				all, err = get(c, ctx)
				return all, err
			}, e.printExplanations); err != nil {
				return err
			}
			return unprotected(all)
		},
	}
}

// unprotected is the error that not all are protected, so that a script or a probe need not read the text.
func unprotected(list []ctl.Explanation) error {
	n := 0
	for _, x := range list {
		if !x.Protected {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d not protected", n, len(list))
}

// parsePeer reads an address or a name, and a port behind it. An address with a port is in brackets.
func parsePeer(s string) (host string, port uint16, err error) {
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		if !a.Is6() || a.Is4In6() || a.Zone() != "" {
			return "", 0, fmt.Errorf("%q is not an IPv6 address without a zone", s)
		}
		return a.String(), 0, nil
	}
	host, word, err := net.SplitHostPort(s)
	if err != nil {
		if strings.ContainsAny(s, ":[]/ ") || s == "" {
			return "", 0, fmt.Errorf("%q is neither an address, nor a name, nor one with a port, such as [2001:db8::1]:443", s)
		}
		return s, 0, nil
	}
	n, err := strconv.ParseUint(word, 10, 16)
	if err != nil || n == 0 || host == "" {
		return "", 0, fmt.Errorf("%q has no port from 1 to 65535, such as [2001:db8::1]:443", s)
	}
	return host, uint16(n), nil
}

// resolve gives the IPv6 addresses of a name.
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip6", host)
	var unknown *net.DNSError
	switch {
	case errors.As(err, &unknown):
		return nil, &ctl.Error{Message: fmt.Sprintf("%s has no IPv6 address: %s", host, unknown.Err), Hint: "give an address instead of a name"}
	case err != nil:
		return nil, err
	}
	var addrs []netip.Addr
	for _, a := range list {
		if !a.Is4In6() {
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s has no IPv6 address", host)
	}
	return addrs, nil
}

func (e *env) printExplanations(list []ctl.Explanation) {
	for i, x := range list {
		if i > 0 {
			fmt.Fprintln(e.stdout)
		}
		verdict := "not protected"
		if x.Protected {
			verdict = "protected"
		}
		from := "any address"
		if x.ULIDLocal.IsValid() {
			from = x.ULIDLocal.String()
		}
		fmt.Fprintf(e.stdout, "%s (%s)\n", verdict, x.Code)
		e.row("  ", "from", from)
		e.row("  ", "to", x.ULIDPeer.String())
		for _, s := range x.Steps {
			fmt.Fprintf(e.stdout, "%-5s %s  %s\n", s.Result, s.Name, s.Code)
			e.wrapped("      ", s.Text)
			if s.Hint != "" {
				e.wrapped("      hint: ", s.Hint)
			}
		}
	}
}

// wrapped prints a text in lines that fit 80 columns; the words of a line that does not fit go to the next.
func (e *env) wrapped(indent, text string) {
	line := indent
	for _, word := range strings.Fields(printable(text)) {
		if len(line)+1+len(word) > 80 && strings.TrimSpace(line) != "" {
			fmt.Fprintln(e.stdout, strings.TrimRight(line, " "))
			line = strings.Repeat(" ", len(indent))
		}
		if line != "" && !strings.HasSuffix(line, " ") {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(e.stdout, strings.TrimRight(line, " "))
}
