package lane_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/adapter/internal/lane"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestOrder: each sender's items are handled in order, on one goroutine at a
// time.
func TestOrder(t *testing.T) {
	const senders, count = 10, 1000
	type item struct{ sender, n int }
	var (
		mu   sync.Mutex
		next [senders]int
		busy [senders]sync.Mutex
		done = make(chan struct{})
		left = senders * count
	)
	s := lane.New(4, 1<<20, func(it item) {
		if !busy[it.sender].TryLock() {
			t.Errorf("two at a time of sender %d", it.sender)
			return
		}
		defer busy[it.sender].Unlock()
		mu.Lock()
		defer mu.Unlock()
		if it.n != next[it.sender] {
			t.Errorf("sender %d: got %d, want %d", it.sender, it.n, next[it.sender])
		}
		next[it.sender]++
		if left--; left == 0 {
			close(done)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg, pushing sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	for sender := range senders {
		pushing.Go(func() {
			for i := range count {
				s.Push(lane.Key([]byte{byte(sender)}), item{sender, i}, 1)
			}
		})
	}
	pushing.Wait()
	<-done
	cancel()
	wg.Wait()
	if s.Dropped() != 0 {
		t.Errorf("%d dropped", s.Dropped())
	}
}

// TestBound: what is too much is dropped and counted; a single large item is
// not, and what is being handled counts.
func TestBound(t *testing.T) {
	handling, goOn := make(chan int), make(chan struct{})
	s := lane.New(1, 100, func(n int) {
		handling <- n
		<-goOn
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	push := func(n, size int, wantOK, wantFirst bool) {
		t.Helper()
		if ok, first := s.Push(0, n, size); ok != wantOK || first != wantFirst {
			t.Errorf("item %d: %v, %v", n, ok, first)
		}
	}
	push(1, 1000, true, false)
	<-handling
	push(2, 1, false, true)
	push(3, 1, false, false)
	goOn <- struct{}{}
	// The lane tells that it has come to rest by taking the next one.
	for ok := false; !ok; {
		ok, _ = s.Push(0, 4, 60)
	}
	if n := <-handling; n != 4 {
		t.Errorf("got %d", n)
	}
	push(5, 40, true, false)
	if ok, _ := s.Push(0, 6, 1); ok {
		t.Error("item 6 was taken")
	}
	cancel()
	goOn <- struct{}{}
	wg.Wait()
	if s.Dropped() < 3 {
		t.Errorf("%d dropped", s.Dropped())
	}
}

func BenchmarkPush(b *testing.B) {
	s := lane.New(1, 1<<30, func(int) {})
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	b.ReportAllocs()
	for i := range b.N {
		s.Push(0, i, 64)
	}
	cancel()
	wg.Wait()
}

// TestDo: an item is handled by who brings it while the lane is at rest, and in
// order with the others when it is not.
func TestDo(t *testing.T) {
	var got []int
	inside, goOn, all := make(chan bool, 1), make(chan bool), make(chan bool)
	s := lane.New(1, 100, func(n int) {
		if n == 2 {
			inside <- true
			<-goOn
		}
		if got = append(got, n); n == 4 {
			close(all)
		}
	})
	s.Do(0, 1, 10)
	if len(got) != 1 {
		t.Fatal("Do returned before the item had been handled")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	wg.Go(func() { s.Do(0, 2, 10) })
	<-inside
	s.Push(0, 3, 10)
	s.Do(0, 4, 10)
	if ok, first := s.Do(0, 5, 1000); ok || !first {
		t.Errorf("too much was taken: %v, %v", ok, first)
	}
	goOn <- true
	<-all
	cancel()
	wg.Wait()
	if want := []int{1, 2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("handled %v, want %v", got, want)
	}
}
