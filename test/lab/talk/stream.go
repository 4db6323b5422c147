// SPDX-License-Identifier: MIT

package talk

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// openStream talks by connected sockets, b's being accepted from one that listens. DCCP keeps messages apart, but each is read
// at once.
func openStream(e Ends, kind, proto int, set ...option) (*Talk, error) {
	atA, atB := e.atA(), e.atB()
	a, listener, err := sockets(e, kind, proto, atA, atB, append(set, option{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1})...)
	if err != nil {
		return nil, err
	}
	defer unix.Close(listener)
	if err := unix.Listen(listener, listenerBacklog); err != nil {
		return nil, errors.Join(err, unix.Close(a))
	}
	if err := unix.Connect(a, sockaddr(atB)); err != nil {
		return nil, errors.Join(fmt.Errorf("connect: %w", err), unix.Close(a))
	}
	b, from, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("accept: %w", err), unix.Close(a))
	}
	if addrPort(from) != atA {
		err = fmt.Errorf("a connection from %v, not %v", addrPort(from), atA)
	}
	if peer, nameErr := unix.Getpeername(a); nameErr != nil || addrPort(peer) != atB {
		err = errors.Join(err, nameErr, fmt.Errorf("connected to %v, not %v", addrPort(peer), atB))
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(a), unix.Close(b))
	}
	answers := answer(b, atA, nil)
	return &Talk{
		exchange: func(message []byte) ([]byte, error) {
			wrote := make(chan error, 1)
			go func() { wrote <- writeAll(a, message) }()
			back, err := readAll(a, len(message))
			return back, errors.Join(err, <-wrote, answers.trouble())
		},
		close: func() {
			_ = unix.Shutdown(a, unix.SHUT_RDWR)
			unix.Close(a)
			answers.end()
		},
	}, nil
}

func writeAll(fd int, message []byte) error {
	for len(message) > 0 {
		n, err := unix.Write(fd, message)
		if errors.Is(err, unix.EINTR) { // a signal to the Go runtime ends a call with a time limit
			continue
		}
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		message = message[n:]
	}
	return nil
}

func readAll(fd, size int) ([]byte, error) {
	buffer := make([]byte, size)
	for at := 0; at < size; {
		n, err := unix.Read(fd, buffer[at:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read at octet %d: %w", at, err)
		}
		if n == 0 {
			return nil, fmt.Errorf("the end at octet %d", at)
		}
		at += n
	}
	return buffer, nil
}
