// SPDX-License-Identifier: MIT

package talk

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"time"

	"github.com/quic-go/quic-go"

	"shim6/test/lab/node"
)

const alpn = "shim6-lab"

// openQUIC talks by a stream of a QUIC connection.
func openQUIC(e Ends) (*Talk, error) {
	atA, atB := e.atA(), e.atB()
	identity, err := selfSigned()
	if err != nil {
		return nil, err
	}
	a, err := quicTransport(e.A, atA)
	if err != nil {
		return nil, err
	}
	b, err := quicTransport(e.B, atB)
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	undo := func() {
		cancel()
		_, _ = a.Close(), b.Close()
		_, _ = a.Conn.Close(), b.Conn.Close()
	}
	listener, err := b.Listen(&tls.Config{Certificates: []tls.Certificate{*identity}, NextProtos: []string{alpn}}, nil)
	if err != nil {
		undo()
		return nil, err
	}
	go quicAnswer(ctx, listener)
	conn, err := a.Dial(ctx, net.UDPAddrFromAddrPort(atB), &tls.Config{
		// The certificate is our own, made a moment ago.
		InsecureSkipVerify: true, NextProtos: []string{alpn},
	}, &quic.Config{KeepAlivePeriod: patience})
	if err != nil {
		undo()
		return nil, fmt.Errorf("quic: %w", err)
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		undo()
		return nil, fmt.Errorf("quic: %w", err)
	}
	return &Talk{
		exchange: func(message []byte) ([]byte, error) {
			_ = stream.SetDeadline(time.Now().Add(patience))
			wrote := make(chan error, 1)
			go func() {
				_, err := stream.Write(message)
				wrote <- err
			}()
			back := make([]byte, len(message))
			_, err := io.ReadFull(stream, back)
			return back, errors.Join(err, <-wrote)
		},
		close: func() {
			_ = conn.CloseWithError(0, "")
			undo()
		},
	}, nil
}

func quicTransport(n *node.Node, at netip.AddrPort) (t *quic.Transport, err error) {
	err = n.Do(func() error {
		conn, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(at))
		if err == nil {
			t = &quic.Transport{Conn: conn}
		}
		return err
	})
	return t, err
}

// quicAnswer sends back what comes on the first stream of the first connection.
func quicAnswer(ctx context.Context, listener *quic.Listener) {
	conn, err := listener.Accept(ctx)
	if err != nil {
		return
	}
	stream, err := conn.AcceptStream(ctx)
	if err != nil {
		return
	}
	_, _ = io.Copy(stream, stream)
}

func selfSigned() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, nil
}
