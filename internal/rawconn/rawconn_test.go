//go:build linux

package rawconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/internal/rawconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns both ends of a connection, the first one wrapped.
func pair(t *testing.T, network, addr string) (*rawconn.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := rawconn.New(nc)
	if c == nil {
		t.Fatalf("no connection over %s", network)
	}
	t.Cleanup(func() { c.Close(); peer.Close() })
	return c, peer
}

func TestBothWays(t *testing.T) {
	for network, addr := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		t.Run(network, func(t *testing.T) {
			c, peer := pair(t, network, addr)
			// More than the kernel holds: the writer has to wait.
			sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<19)
			wrote := make(chan error, 1)
			go func() {
				_, err := c.Write(sent)
				wrote <- err
			}()
			echoed := make(chan error, 1)
			go func() {
				_, err := io.CopyN(peer, peer, int64(len(sent)))
				echoed <- err
			}()
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(c, got); err != nil {
				t.Fatal(err)
			}
			for _, done := range []chan error{wrote, echoed} {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			if !bytes.Equal(got, sent) {
				t.Error("what came back is not what was sent")
			}
		})
	}
}

func TestTryWriteStopsWhenTheKernelIsFull(t *testing.T) {
	c, peer := pair(t, "tcp", "127.0.0.1:0")
	b := make([]byte, 64<<20)
	n, err := c.TryWrite(b)
	if err != nil || n == 0 || n == len(b) {
		t.Fatalf("took %d of %d bytes, %v", n, len(b), err)
	}
	if got, err := io.CopyN(io.Discard, peer, int64(n)); err != nil {
		t.Fatalf("%d of %d bytes arrived: %v", got, n, err)
	}
}

func TestEnds(t *testing.T) {
	t.Run("of the peer", func(t *testing.T) {
		c, peer := pair(t, "tcp", "127.0.0.1:0")
		peer.Close()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("got %v, want EOF", err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		c, peer := pair(t, "tcp", "127.0.0.1:0")
		if err := peer.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		peer.Close()
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("got %v, want a reset", err)
		}
		if _, err := c.Write([]byte{1}); err == nil {
			t.Error("wrote to a connection that was reset")
		}
	})
	t.Run("while reading", func(t *testing.T) {
		c, _ := pair(t, "tcp", "127.0.0.1:0")
		done := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			done <- err
		}()
		c.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want that it is closed", err)
		}
		if _, err := c.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: got %v, want that it is closed", err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		c, _ := pair(t, "tcp", "127.0.0.1:0")
		if err := c.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: got %v", err)
		}
		if _, err := c.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: got %v", err)
		}
	})
}

func TestOthersAreLeftAlone(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	for _, nc := range []net.Conn{a, tls.Client(a, &tls.Config{InsecureSkipVerify: true})} {
		if rawconn.New(nc) != nil {
			t.Errorf("%T was taken for a plain socket", nc)
		}
		if rawconn.Wrap(nc) != nc {
			t.Errorf("%T was wrapped", nc)
		}
	}
	if n, err := (&rawconn.Conn{}).Read(nil); n != 0 || err != nil {
		t.Errorf("reading nothing: %d, %v", n, err)
	}
}
