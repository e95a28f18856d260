package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"syscall"
)

// CheckFree reports whether nobody listens on addr, as the error of a node
// that would. key is the setting to blame.
func CheckFree(ctx context.Context, key, addr string) error {
	l, err := listen(ctx, key, addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// Ports that FreeAddrs takes from: below those that the system hands out by
// itself. One of these could go to some connection while a node is down.
const (
	lowestPort = 20000
	portRange  = 12000
	portTries  = 1000
)

// FreeAddrs returns n addresses on the loopback interface that are free now.
func FreeAddrs(ctx context.Context, n int) ([]string, error) {
	addrs := make([]string, 0, n)
	taken := map[int64]bool{}
	for range portTries {
		r, err := rand.Int(rand.Reader, big.NewInt(portRange))
		if err != nil {
			return nil, fmt.Errorf("socketeer: no random port: %w", err)
		}
		port := lowestPort + r.Int64()
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if taken[port] || CheckFree(ctx, "addr", addr) != nil {
			continue
		}
		taken[port] = true
		if addrs = append(addrs, addr); len(addrs) == n {
			return addrs, nil
		}
	}
	return nil, fmt.Errorf("socketeer: found no %d free ports from %d on", n, lowestPort)
}

func listen(ctx context.Context, key, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("socketeer: %s %s is in use by another process: stop it, or choose another --%s", key, addr, key)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("socketeer: %s %s is not allowed for this user: choose a port above 1023", key, addr)
	}
	return nil, fmt.Errorf("socketeer: cannot listen on %s %s: %w", key, addr, reason(err))
}

// reason strips what an error of package net repeats.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// advertised is where others reach a node that listens on actual.
func advertised(configured string, actual net.Addr) string {
	if configured != "" {
		return configured
	}
	host, port, err := net.SplitHostPort(actual.String())
	if err != nil {
		return actual.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return net.JoinHostPort(host, port)
}
