package interest_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/interest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is what rooms are subscribed to at. It confirms after a while.
type broker struct {
	mu    sync.Mutex
	rooms map[string]int // how many Begins less Ends
	begun int
	after time.Duration
	err   error
}

func (b *broker) Begin(room string) (func(context.Context) error, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rooms[room]++
	b.begun++
	ready, err := time.Now().Add(b.after), b.err
	return func(ctx context.Context) error {
		t := time.NewTimer(time.Until(ready))
		defer t.Stop()
		select {
		case <-t.C:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}, nil
}

func (b *broker) End(room string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rooms[room]--
}

func (b *broker) state(room string) (subscriptions, begun int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rooms[room], b.begun
}

// members is a namespace that knows whether its one room has some.
type members struct {
	adapter.Local
	some atomic.Bool
}

func (m *members) HasRoom(string) bool { return m.some.Load() }

const delay = 5 * time.Second

// run runs a test in made-up time.
func run(t *testing.T, f func(t *testing.T, s *interest.Set, b *broker, m *members)) {
	synctest.Test(t, func(t *testing.T) {
		b, m, q := &broker{rooms: make(map[string]int), after: time.Second}, &members{}, interest.NewQueue(delay)
		s := interest.New(q, b, m)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { q.Run(ctx) })
		f(t, s, b, m)
		cancel()
		wg.Wait()
	})
}

func want(t *testing.T, b *broker, subscriptions, begun int) {
	t.Helper()
	synctest.Wait()
	if s, n := b.state("r"); s != subscriptions || n != begun {
		t.Errorf("%d subscriptions after %d, want %d after %d", s, n, subscriptions, begun)
	}
}

// TestJoinWaits: for the confirmation, once for everybody.
func TestJoinWaits(t *testing.T) {
	run(t, func(t *testing.T, s *interest.Set, b *broker, m *members) {
		m.some.Store(true)
		began := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := s.Join(t.Context(), "r"); err != nil || time.Since(began) != time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
			})
		}
		wg.Wait()
		want(t, b, 1, 1)
		if err := s.Join(t.Context(), "r"); err != nil || time.Since(began) != time.Second || s.Len() != 1 || !s.Has("r") {
			t.Errorf("again: %v after %v", err, time.Since(began))
		}
	})
}

// TestLeaveIsDelayed, and taken back by a Join.
func TestLeaveIsDelayed(t *testing.T) {
	run(t, func(t *testing.T, s *interest.Set, b *broker, m *members) {
		join := func() {
			m.some.Store(true)
			if err := s.Join(t.Context(), "r"); err != nil {
				t.Error(err)
			}
		}
		leave := func() {
			m.some.Store(false)
			s.Leave("r")
		}
		join()
		for range 10 {
			leave()
			time.Sleep(delay - time.Second)
			want(t, b, 1, 1)
			join()
			time.Sleep(2 * time.Second)
		}
		leave()
		time.Sleep(delay + delay/10)
		want(t, b, 0, 1)
		if s.Len() != 0 || !s.Empty("r") {
			t.Error("it is still there")
		}
		join()
		want(t, b, 1, 2)
		// A Leave that is overtaken by the Join of somebody else.
		s.Leave("r")
		time.Sleep(2 * delay)
		want(t, b, 1, 2)
	})
}

// TestJoinFails: with the caller's patience, while the subscription may still be
// made; with an error, and then the next one tries again.
func TestJoinFails(t *testing.T) {
	run(t, func(t *testing.T, s *interest.Set, b *broker, m *members) {
		m.some.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := s.Join(ctx, "r"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		want(t, b, 1, 1)
		if err := s.Join(t.Context(), "r"); err != nil {
			t.Error(err)
		}
		want(t, b, 1, 1)
		b.err = errors.New("not allowed")
		if err := s.Join(t.Context(), "other"); !errors.Is(err, b.err) || s.Has("other") {
			t.Error(err)
		}
		b.err = nil
		if err := s.Join(t.Context(), "other"); err != nil {
			t.Error(err)
		}
		closed := errors.New("closed")
		s.Close(closed)
		s.Close(closed)
		want(t, b, 0, 3)
		if err := s.Join(t.Context(), "r"); !errors.Is(err, closed) {
			t.Error(err)
		}
		s.Leave("r")
	})
}
