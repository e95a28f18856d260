package replay_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/replay"
)

const (
	size   = 384 + 1 + 16 // of an entry's message
	linger = 10 * time.Second
)

// store is a log of which every place from first on has a message. A part has up
// to page of them.
type store struct {
	first, page place
	gap         place
	reads       atomic.Int32
	read        atomic.Int32  // entries
	wait        chan struct{} // if not nil a read takes until something comes
	meanwhile   func()
	err         error
}

func (s *store) part(_ context.Context, r replay.Range[place]) (p replay.Part[place], err error) {
	s.reads.Add(1)
	if s.wait != nil {
		<-s.wait
	}
	if s.meanwhile != nil {
		s.meanwhile()
	}
	if s.err != nil {
		return p, s.err
	}
	from := max(s.first, r.To-s.page+1)
	p.Start, p.Floor = from-1, s.first-1
	for at := from; at <= r.To; at++ {
		if at == s.gap {
			p.Gap = at
			continue
		}
		p.Append(entry(at), r.Room)
		p.Passed++
		s.read.Add(1)
	}
	return p, nil
}

// pass lets time pass, within synctest.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // within synctest

var errTooMuch = errors.New("raise the bound")

// recent returns a history of what follows 1000, which has room for so many
// messages, and for a while for more.
func recent(limit, spare int, at ...place) *replay.History[place] {
	h := &replay.History[place]{
		Limit: limit * size, Spare: spare * size, TooMuch: errTooMuch,
		Forgets: func(bool) replay.Edge { return replay.Open },
	}
	h.Retain(time.Hour)
	h.Begin(1000)
	for _, p := range at {
		h.Add(entry(p))
	}
	return h
}

// fetched checks that a client which had at gets what is after it up to last,
// and nothing else; or is told that it cannot come back.
func fetched(t *testing.T, h *replay.History[place], s *store, at, last place, reason string) error {
	t.Helper()
	list, err := h.Fetch(t.Context(), "/", session, at, offset(at), s.part)
	var u *adapter.Unrecoverable
	if err != nil && !errors.As(err, &u) {
		t.Errorf("after %d: %v, which is no *adapter.Unrecoverable", at, err)
	}
	switch {
	case u != nil && u.Reason != reason, u == nil && reason != "":
		t.Errorf("after %d: %v, want %q", at, err, reason)
	case u == nil && len(list) != int(last-at):
		t.Errorf("after %d came %d messages, want %d", at, len(list), last-at)
	}
	for i, m := range list {
		if got := number(t, m); got != at+1+place(i) {
			t.Errorf("after %d the message %d is the one at %d", at, i, got)
			break
		}
	}
	return err
}

// What does not fit the history is read once for all who come back together, from
// wherever, and who comes back later from before that costs only what is before.
func TestTheLogIsReadOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := recent(10, 10_000, 1001), &store{first: 1, page: 100, wait: make(chan struct{})}
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() { fetched(t, h, s, place(501+i%500), 1001, "") })
		}
		synctest.Wait()
		close(s.wait)
		wg.Wait()
		if n := s.reads.Load(); n != 5 {
			t.Errorf("read %d times, want 5", n)
		}
		fetched(t, h, s, 450, 1001, "")
		fetched(t, h, s, 700, 1001, "")
		if n := s.read.Load(); n != 600 {
			t.Errorf("read %d entries, want 600", n)
		}
		pass(2 * linger)
		want(t, h, 990, replay.Older)
	})
}

// What is added while clients come back does not cost them what was read: also
// if the history is full, and forgets with each message.
func TestTheHistoryStaysBehindWhatWasRead(t *testing.T) {
	h, s := recent(3, 1000, 1001, 1002, 1003), &store{first: 1, page: 10}
	last := place(1003)
	s.meanwhile = func() {
		for range 5 {
			last++
			h.Add(entry(last))
		}
	}
	if list, err := h.Fetch(t.Context(), "/", session, 951, offset(951), s.part); err != nil || len(list) != int(last-951) {
		t.Errorf("got %d, %v, want %d", len(list), err, last-951)
	}
	fetched(t, h, s, 975, last, "")
	if n := s.reads.Load(); n != 5 {
		t.Errorf("read %d times, want 5", n)
	}
}

// More than the limit is remembered for as long as it is wanted.
func TestMoreIsRememberedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := recent(10, 1000, 1001), &store{first: 1, page: 100}
		fetched(t, h, s, 950, 1001, "")
		for range 5 {
			pass(linger * 3 / 4)
			want(t, h, 999, replay.Found, 1000, 1001) // would fit
			fetched(t, h, s, 980, 1001, "")
		}
		if n := s.reads.Load(); n != 1 {
			t.Errorf("read %d times, want once", n)
		}
		pass(linger * 3 / 4)
		want(t, h, 999, replay.Found, 1000, 1001)
		pass(linger * 3 / 4)
		want(t, h, 980, replay.Older)
		want(t, h, 990, replay.Older)
		fetched(t, h, s, 992, 1001, "")
		h.Add(entry(1002))
		fetched(t, h, s, 993, 1002, "")
		if n := s.reads.Load(); n != 1 {
			t.Errorf("read %d times, want once", n)
		}
		fetched(t, h, s, 980, 1002, "")
		pass(linger * 2)
		h.Add(entry(1003))
		fetched(t, h, s, 994, 1003, "")
		if n := s.reads.Load(); n != 2 {
			t.Errorf("read %d times, want twice", n)
		}
	})
}

func TestTheBound(t *testing.T) {
	for name, tc := range map[string]struct {
		spare, reach int
		page         place
		reads        int32
		oldest       place // of who recovers
	}{
		"the part has too much":    {spare: 50, page: 1000, reads: 1, oldest: 941},
		"several parts":            {spare: 55, page: 20, reads: 4, oldest: 936},
		"it fits exactly":          {spare: 50, page: 20, reads: 3, oldest: 941},
		"no room at all":           {spare: 0, page: 20, reads: 1, oldest: 991},
		"so many entries at most":  {spare: 1000, reach: 60, page: 20, reads: 3, oldest: 941},
		"and those beyond a third": {spare: 1000, reach: 50, page: 20, reads: 3, oldest: 941},
	} {
		t.Run(name, func(t *testing.T) {
			h, s := recent(10, tc.spare), &store{first: 1, page: tc.page}
			h.Reach = tc.reach
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					err := fetched(t, h, s, place(100+i), 0, adapter.LogFailure)
					if !errors.Is(err, errTooMuch) || !strings.Contains(err.Error(), "raise the bound") {
						t.Errorf("got %v", err)
					}
				})
			}
			wg.Wait()
			fetched(t, h, s, tc.oldest, 1000, "")
			fetched(t, h, s, tc.oldest-1, 1000, adapter.LogFailure)
			if n := s.reads.Load(); n != tc.reads {
				t.Errorf("read %d times, want %d", n, tc.reads)
			}
			if tc.spare > 100 {
				return
			}
			h.Add(entry(1001)) // the oldest goes
			fetched(t, h, s, tc.oldest+1, 1001, "")
			fetched(t, h, s, tc.oldest, 1001, adapter.LogFailure)
		})
	}
}

// Clients who come back from before all that the log has are told so for a look
// at it together.
func TestWhatTheLogHasNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := recent(1000, 1000), &store{first: 500, page: 100}
		for at := range place(400) {
			fetched(t, h, s, at+1, 0, adapter.Trimmed)
		}
		if n := s.reads.Load(); n != 1 {
			t.Errorf("read %d times, want once", n)
		}
		fetched(t, h, s, 500, 1000, "")
		fetched(t, h, s, 499, 1000, adapter.Trimmed)
		if n := s.reads.Load(); n != 6 {
			t.Errorf("read %d times, want 6", n)
		}
		s.first = 300 // it may have been a mistake
		pass(2 * linger)
		fetched(t, h, s, 450, 1000, "")
	})
}

func TestNobodyReadsAcrossAGap(t *testing.T) {
	h, s := recent(10, 1000, 1001), &store{first: 1, page: 100, gap: 940}
	for at := range place(50) {
		fetched(t, h, s, at+1, 0, adapter.Gap)
	}
	fetched(t, h, s, 940, 0, adapter.BadOffset) // is the marker
	fetched(t, h, s, 941, 1001, "")
	if n := s.reads.Load(); n != 1 {
		t.Errorf("read %d times, want once", n)
	}
}

func TestAnErrorIsOfTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := recent(10, 1000), &store{first: 1, page: 100, wait: make(chan struct{})}
		s.err = &adapter.Unrecoverable{Reason: adapter.LogFailure}
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { fetched(t, h, s, 950, 1000, adapter.LogFailure) })
		synctest.Wait()
		wg.Go(func() {
			_, err := h.Fetch(ctx, "/", session, 950, offset(950), s.part)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who lost patience got %v", err)
			}
		})
		wg.Go(func() { fetched(t, h, s, 960, 1000, "") })
		synctest.Wait()
		cancel(context.DeadlineExceeded)
		synctest.Wait()
		s.wait <- struct{}{}
		synctest.Wait() // the next one reads
		s.err = nil
		close(s.wait)
		wg.Wait()
		if n := s.reads.Load(); n != 2 {
			t.Errorf("read %d times, want twice", n)
		}
	})
}

// A part of what the log was is not put before what it is, though the places are
// the same.
func TestAPartOfAnotherLog(t *testing.T) {
	h, s := recent(10, 1000, 1001), &store{first: 1, page: 100}
	s.meanwhile = func() {
		if s.reads.Load() == 1 {
			h.Begin(1000)
			h.Add(entry(1001))
		}
	}
	fetched(t, h, s, 990, 1001, "")
	if n := s.reads.Load(); n != 2 {
		t.Errorf("read %d times, want twice", n)
	}
}

// Who reads is told where the others were, unless they cannot come back anyway.
func TestTheOldestThatIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := recent(1000, 1000), &store{first: 500, page: 100, wait: make(chan struct{})}
		h.Gapped(550, 0)
		var from []place
		read := func(ctx context.Context, r replay.Range[place]) (replay.Part[place], error) {
			from = append(from, r.From)
			return s.part(ctx, r)
		}
		var wg sync.WaitGroup
		for _, at := range []place{950, 600, 800, 520} {
			wg.Go(func() {
				list, err := h.Fetch(t.Context(), "/", session, at, offset(at), read)
				if (err == nil) != (at > 550) || err == nil && len(list) != int(1000-at) {
					t.Errorf("after %d came %d, %v", at, len(list), err)
				}
			})
			synctest.Wait()
		}
		close(s.wait)
		wg.Wait()
		if !slices.Equal(from, []place{950, 600, 600, 600, 600}) {
			t.Errorf("asked from %v", from)
		}
	})
}

func TestNothingIsRead(t *testing.T) {
	h := recent(10, 10)
	_, err := h.Fetch(t.Context(), "/", session, 990, offset(990),
		func(_ context.Context, r replay.Range[place]) (replay.Part[place], error) {
			return replay.Part[place]{Start: r.To}, nil
		})
	var u *adapter.Unrecoverable
	if !errors.As(err, &u) || u.Reason != adapter.LogFailure {
		t.Errorf("got %v", err)
	}
}

func TestAPartRestarts(t *testing.T) {
	p := replay.Part[place]{Start: 1, Edge: replay.Aged}
	for at := range place(5) {
		p.Append(entry(at+2), 3*size)
	}
	if p.Start != 3 || p.Edge != replay.Open || !p.Cut || len(p.List) != 3 || p.List[0].At != 4 {
		t.Errorf("got %+v", p)
	}
	p.Restart(7)
	p.Append(entry(8), 3*size)
	if p.Start != 7 || len(p.List) != 1 {
		t.Errorf("got %+v", p)
	}
}
