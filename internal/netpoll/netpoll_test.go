//go:build linux

package netpoll_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/internal/netpoll"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// sink reads all there is, and tells.
type sink struct {
	fd       *netpoll.FD
	got      chan string
	ended    chan error
	writable atomic.Int32
}

func (s *sink) Readable(buf []byte, hangup bool) {
	for {
		n, err := s.fd.Read(buf)
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return
		case err != nil || n == 0:
			s.ended <- errors.Join(err, io.EOF)
			return
		}
		s.got <- string(buf[:n])
		if n < len(buf) && !hangup {
			return
		}
	}
}

func (s *sink) Writable() { s.writable.Add(1) }

// poller runs one for the test.
func poller(t *testing.T, after func()) *netpoll.Poller {
	t.Helper()
	p, err := netpoll.New(after)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		p.Run()
		close(done)
	}()
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return p
}

// pair returns a watched socket and its peer.
func pair(t *testing.T, p *netpoll.Poller) (*sink, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{got: make(chan string, 1000), ended: make(chan error, 1)}
	if s.fd, err = p.Take(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.fd.Close() })
	if err := s.fd.Watch(s); err != nil {
		t.Fatal(err)
	}
	return s, peer
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestReadAndHangup(t *testing.T) {
	batches := make(chan struct{}, 1000)
	s, peer := pair(t, poller(t, func() { batches <- struct{}{} }))
	for _, text := range []string{"one", "two"} {
		if _, err := io.WriteString(peer, text); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, s.got); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
		receive(t, batches)
	}
	// The end comes with the last bytes, and both are noticed.
	if _, err := io.WriteString(peer, "last"); err != nil {
		t.Fatal(err)
	}
	_ = peer.Close()
	if got := receive(t, s.got); got != "last" {
		t.Errorf("got %q", got)
	}
	if err := receive(t, s.ended); !errors.Is(err, io.EOF) {
		t.Errorf("ended with %v", err)
	}
}

// A writer that fills the kernel's buffer is told when there is room.
func TestWritableAgain(t *testing.T) {
	s, peer := pair(t, poller(t, nil))
	block := bytes.Repeat([]byte("x"), 1<<20)
	sent := 0
	for {
		n, err := s.fd.Write(block)
		if err != nil {
			t.Fatal(err)
		}
		sent += n
		if n < len(block) {
			break
		}
	}
	before := s.writable.Load()
	go func() { _, _ = io.CopyN(io.Discard, peer, int64(sent)) }()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.writable.Load() == before {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("never writable again")
		}
	}
}

// After Close nothing is read or written, whatever comes.
func TestClose(t *testing.T) {
	s, peer := pair(t, poller(t, nil))
	if err := errors.Join(s.fd.Close(), s.fd.Close()); err != nil {
		t.Error(err)
	}
	if _, err := s.fd.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if _, err := s.fd.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if n, err := peer.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the peer read %d, %v", n, err)
	}
}

// Descriptor numbers are reused at once: news for the old socket must not reach
// the new one, and nobody may be left without any.
func TestReusedNumbers(t *testing.T) {
	p := poller(t, nil)
	for range 200 {
		s, peer := pair(t, p)
		if _, err := io.WriteString(peer, "hello"); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, s.got); got != "hello" {
			t.Fatalf("got %q", got)
		}
		_ = s.fd.Close()
		_ = peer.Close()
	}
}

func TestNotASocket(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, err := poller(t, nil).Take(a); !errors.Is(err, netpoll.ErrNotSocket) {
		t.Errorf("got %v", err)
	}
}
