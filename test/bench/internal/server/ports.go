package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

// Ports are taken from below those that the system gives to connections, of
// which there are thousands here.
const (
	lowestPort = 20_000
	portRange  = 12_000
	// apart keeps the ports of two harnesses that run at the same time from
	// each other: a port found free must be so until the server listens.
	apart = 64
)

// freeAddrs returns n addresses of this machine on which nobody listens.
func freeAddrs(ctx context.Context, n int) ([]string, error) {
	addrs := make([]string, 0, n)
	var lc net.ListenConfig
	first := os.Getpid() * apart
	for i := range portRange {
		if len(addrs) == n {
			return addrs, nil
		}
		l, err := lc.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", lowestPort+(first+i)%portRange))
		if err == nil {
			addrs = append(addrs, l.Addr().String())
			l.Close()
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, errors.New("socketeer: too few free ports on 127.0.0.1: stop what listens there")
}
