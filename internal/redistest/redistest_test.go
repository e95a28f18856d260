package redistest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/redistest"
)

func TestServer(t *testing.T) {
	for name, o := range map[string]redistest.Options{
		"plain": {}, "password": {Password: "secret"}, "user": {User: "u", UserPassword: "pw"},
		"tls": {TLS: true, Password: "secret"}, "unix": {Unix: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Standalone(t, o)
			s.Must("SET", "k", "v")
			if v := s.Must("GET", "k"); v != "v" {
				t.Errorf("%v", v)
			}
			s.Restart()
			if v := s.Must("GET", "k"); v != nil {
				t.Errorf("%v survived", v)
			}
		})
	}
}

func TestPause(t *testing.T) {
	s := redistest.Standalone(t)
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if v, err := s.Do(ctx, "PING"); err == nil {
		t.Errorf("a paused server says %v", v)
	}
	s.Resume()
	s.Must("PING")
	s.Kill()
	if v, err := s.Do(t.Context(), "PING"); err == nil {
		t.Errorf("a killed server says %v", v)
	}
}

func TestProxy(t *testing.T) {
	s := redistest.Standalone(t)
	p := redistest.Proxy(t, s.Addr())
	ping := func(conn net.Conn) error {
		if err := conn.SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("PING\r\n")); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, make([]byte, len("+PONG\r\n")))
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
	p.Cut()
	if err := ping(second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v from a connection that was cut", err)
	}
}

func TestCluster(t *testing.T) {
	c := redistest.Cluster(t, 1)
	owner := c.Owner(0)
	if owner != c.Nodes[0] {
		t.Fatal("another node owns slot 0")
	}
	c.Move(0, c.Nodes[1])
	if c.Owner(0) != c.Nodes[1] {
		t.Error("the slot has not moved")
	}
}

func TestSentinel(t *testing.T) {
	set := redistest.Sentinel(t)
	if got := set.Current(); got != set.Master.Addr() {
		t.Errorf("%s is the master, want %s", got, set.Master.Addr())
	}
}
