// SPDX-License-Identifier: MIT

// Command initiators runs in a lab guest: one client after the other establishes a context with a host, and the time from I2 to R2
// is written down.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"shim6/daemon/rawsock"
	"shim6/test/figures/client"
)

const usage = "usage: initiators CLIENTS SERVER FIRST COUNT INTERVAL OUT"

// patience is how long an answer may take.
const patience = 10 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "initiators: error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 6 {
		return errors.New(usage)
	}
	raw, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	server, err := netip.ParseAddr(args[1])
	if err != nil {
		return err
	}
	first, err := strconv.Atoi(args[2])
	if err != nil {
		return fmt.Errorf("first client: %w", err)
	}
	count, err := strconv.Atoi(args[3])
	if err != nil {
		return fmt.Errorf("number of clients: %w", err)
	}
	interval, err := time.ParseDuration(args[4])
	if err != nil {
		return fmt.Errorf("interval: %w", err)
	}
	list, err := client.Read(raw, first, count)
	if err != nil {
		return err
	}
	socket, err := rawsock.Listen()
	if err != nil {
		return err
	}
	defer socket.Close()
	f, err := os.Create(args[5])
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	next := time.Now()
	for i, c := range list {
		time.Sleep(time.Until(next))
		took, err := exchange(socket, c, server)
		if err != nil {
			return errors.Join(fmt.Errorf("client %d: %w", first+i, err), out.Flush(), f.Close())
		}
		fmt.Fprintf(out, "%d,%d\n", first+i+1, took.Nanoseconds())
		next = next.Add(interval)
	}
	return errors.Join(out.Flush(), f.Close())
}

// exchange establishes a context and returns the time from the moment in which the I2 goes to the socket until the R2 has come.
func exchange(socket *rawsock.Conn, c *client.Client, server netip.Addr) (time.Duration, error) {
	own, err := c.Address()
	if err != nil {
		return 0, err
	}
	i1, err := c.I1()
	if err != nil {
		return 0, err
	}
	if err := socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if err := socket.WriteTo(i1, own, server); err != nil {
		return 0, err
	}
	buf := make([]byte, 2048)
	n, err := await(socket, own, buf)
	if err != nil {
		return 0, fmt.Errorf("no R1: %w", err)
	}
	i2, err := c.I2(buf[:n])
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := socket.WriteTo(i2, own, server); err != nil {
		return 0, err
	}
	if n, err = await(socket, own, buf); err != nil {
		return 0, fmt.Errorf("no R2: %w", err)
	}
	took := time.Since(start)
	if ok, err := c.IsR2(buf[:n]); err != nil || !ok {
		return 0, errors.Join(errors.New("the I2 was not answered by its R2"), err)
	}
	return took, nil
}

// await reads the next message to an address, and no others: the host may have something to tell earlier clients.
func await(socket *rawsock.Conn, own netip.Addr, buf []byte) (int, error) {
	for {
		n, _, dst, _, err := socket.ReadFrom(buf)
		if err != nil || dst == own {
			return n, err
		}
	}
}
