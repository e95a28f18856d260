package nettest

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Ports are below those that the kernel gives to outgoing connections, or a
// server that is down could find its port taken when it comes back.
const firstPort, lastPort = 10000, 31999

// ports are those given out by this process.
var ports struct {
	mu    sync.Mutex
	taken map[int]bool
}

// FreePort returns a port of 127.0.0.1 that nobody listens on, another one each
// time.
func FreePort(tb testing.TB) int {
	tb.Helper()
	ports.mu.Lock()
	defer ports.mu.Unlock()
	if ports.taken == nil {
		ports.taken = make(map[int]bool)
	}
	for range 1000 {
		p := firstPort + rand.IntN(lastPort-firstPort+1)
		if ports.taken[p] {
			continue
		}
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			tb.Fatal(err)
		}
		ports.taken[p] = true
		return p
	}
	tb.Fatal("no free port found on 127.0.0.1")
	return 0
}
