package nettest_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/nettest"
)

// echo is a server that says what it is told.
func echo(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // ends with the connection
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

func TestProxy(t *testing.T) {
	p := nettest.StartProxy(t, echo(t))
	ping := func(conn net.Conn) error {
		if err := conn.SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("ping")); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, make([]byte, len("ping")))
		return err
	}
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	first := dial()
	if err := ping(first); err != nil {
		t.Fatal(err)
	}
	p.Blackhole(true)
	if err := ping(first); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v from a black hole", err)
	}
	p.Blackhole(false)
	if err := ping(first); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v from a connection that lost something", err)
	}
	second := dial()
	if err := ping(second); err != nil {
		t.Error(err)
	}
	if n := p.Taken(); n != 2 {
		t.Errorf("%d connections, not 2", n)
	}
	p.Swallow()
	if err := ping(second); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v from a connection that is swallowed", err)
	}
	if second = dial(); ping(second) != nil {
		t.Error("a new connection does not work")
	}
	p.Cut()
	if err := ping(second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v from a connection that was cut", err)
	}
	p.Refuse(true)
	if err := ping(dial()); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v from a connection that is refused", err)
	}
}

func TestFreePort(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		p := nettest.FreePort(t)
		if seen[p] {
			t.Fatalf("port %d twice", p)
		}
		seen[p] = true
	}
}
