package unkept_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/adapter/internal/unkept"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func woken[T any](q *unkept.Queue[T]) bool {
	select {
	case <-q.Wake():
		return true
	default:
		return false
	}
}

func TestWhatComesBackIsTakenFromTheFront(t *testing.T) {
	q := unkept.New[int]()
	if _, ok := q.Front(); ok || woken(q) {
		t.Fatal("a new queue is not empty")
	}
	for i := range 3 {
		q.Add(i)
	}
	if !woken(q) || woken(q) {
		t.Error("the first one wakes, and no other")
	}
	for want := range 3 {
		if got, ok := q.Front(); got != want || !ok {
			t.Errorf("got %d, %v, want %d", got, ok, want)
		}
		q.Pop()
	}
	q.Add(3)
	if !woken(q) {
		t.Error("the first one of an empty queue wakes")
	}
}

func TestWhatFollowsIsBounded(t *testing.T) {
	q := unkept.New[int]()
	follow := func(value int, wantWaits, wantFits bool) {
		t.Helper()
		if waits, fits := q.Follow(value, 4, 10); waits != wantWaits || fits != wantFits {
			t.Errorf("%d waits %v, fits %v", value, waits, fits)
		}
	}
	follow(0, false, true)
	q.Add(1)
	follow(2, true, true)
	follow(3, true, true)
	follow(4, true, false)
	q.Pop()
	follow(5, true, false) // what was written has no size
	q.Pop()
	follow(6, true, true)
	if got := q.Remove(func(v int) bool { return v == 3 }); !slices.Equal(got, []int{3}) {
		t.Errorf("removed %v", got)
	}
	follow(7, true, true)
	if got := q.All(); !slices.Equal(got, []int{6, 7}) {
		t.Errorf("left were %v", got)
	}
	follow(8, false, true)
}

func TestDrainedWaitsUntilNothingIsLeft(t *testing.T) {
	for name, end := range map[string]func(q *unkept.Queue[int]){
		"popped":  func(q *unkept.Queue[int]) { q.Pop() },
		"removed": func(q *unkept.Queue[int]) { q.All() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := unkept.New[int]()
				q.Drained(t.Context()) // at once
				q.Add(1)
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				q.Drained(ctx)
				drained := make(chan struct{})
				for range 2 {
					go func() { q.Drained(t.Context()); drained <- struct{}{} }()
				}
				synctest.Wait()
				select {
				case <-drained:
					t.Fatal("one is left")
				default:
				}
				end(q)
				<-drained
				<-drained
			})
		})
	}
}
