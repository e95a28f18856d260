package app

import (
	"context"
	"errors"
	"fmt"
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
