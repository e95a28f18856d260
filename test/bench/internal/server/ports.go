package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are taken from below those that the system gives to connections, of
// which there are thousands here.
const (
	lowestPort = 20_000
	portRange  = 12_000
	portTries  = 1_000
)

// freeAddrs returns n addresses of this machine on which nobody listens.
func freeAddrs(ctx context.Context, n int) ([]string, error) {
	addrs := make([]string, 0, n)
	var lc net.ListenConfig
	for range portTries {
		if len(addrs) == n {
			return addrs, nil
		}
		l, err := lc.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", lowestPort+rand.IntN(portRange)))
		if err != nil {
			continue
		}
		// Open until all are found, so that none is found twice.
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, errors.New("socketeer: too few free ports on 127.0.0.1: stop what listens there")
}
