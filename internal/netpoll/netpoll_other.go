//go:build !linux

// Package netpoll watches many sockets with few goroutines. It does nothing on
// this system: see [Supported].
package netpoll

import (
	"errors"
	"net"
)

// Supported reports whether the package works on this system.
const Supported = false

// ErrNotSocket says that a connection cannot be watched.
var ErrNotSocket = errors.New("socketeer: not a plain socket")

// Handler is called by a poller.
type Handler interface {
	Readable(buf []byte, hangup bool)
	Writable()
}

// Poller watches nothing here.
type Poller struct{}

// New returns a poller that takes no sockets.
func New(func()) (*Poller, error) { return &Poller{}, nil }

// Run returns at once.
func (*Poller) Run() {}

// Close does nothing.
func (*Poller) Close() error { return nil }

// Take refuses.
func (*Poller) Take(net.Conn) (*FD, error) { return nil, ErrNotSocket }

// FD is never made here.
type FD struct{}

// Watch is never called.
func (*FD) Watch(Handler) error { return ErrNotSocket }

// Again is never called.
func (*FD) Again() {}

// Read is never called.
func (*FD) Read([]byte) (int, error) { return 0, ErrNotSocket }

// Write is never called.
func (*FD) Write([]byte) (int, error) { return 0, ErrNotSocket }

// CloseWrite is never called.
func (*FD) CloseWrite() error { return ErrNotSocket }

// Close is never called.
func (*FD) Close() error { return ErrNotSocket }
