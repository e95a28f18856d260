package replay_test

import (
	"cmp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/replay"
)

type place int

func (p place) Compare(o place) int { return cmp.Compare(p, o) }

var (
	session = &adapter.Session{Rooms: []string{"a"}}
	epoch   = time.Unix(1_000_000, 0)
)

// entry returns the message at a place, which is read so many seconds after the
// epoch, and which session wants.
func entry(at place) replay.Entry[place] {
	return replay.Entry[place]{
		At: at, NSP: "/", Read: epoch.Add(time.Duration(at) * time.Second),
		Message: &adapter.Message{Offset: offset(at), Target: adapter.Target{Rooms: []string{"a"}}},
	}
}

// number returns the place of a message.
func number(t *testing.T, m *adapter.Message) place {
	n, err := strconv.Atoi(m.Offset[1:])
	if err != nil {
		t.Error(err)
	}
	return place(n)
}

func offset(at place) string { return "o" + strconv.Itoa(int(at)) }

// begun returns a history of what follows 10.
func begun(limit int, forgets replay.Edge, at ...place) *replay.History[place] {
	h := &replay.History[place]{Limit: limit, Forgets: func(old bool) replay.Edge {
		if forgets == replay.Aged && !old {
			return replay.Open
		}
		return forgets
	}}
	h.Retain(time.Hour)
	h.Begin(10)
	for _, p := range at {
		h.Add(entry(p))
	}
	return h
}

func want(t *testing.T, h *replay.History[place], at place, answer replay.Answer, places ...place) {
	t.Helper()
	list, got := h.Missed("/", session, at, offset(at))
	var have []place
	for _, m := range list {
		have = append(have, number(t, m))
	}
	if got != answer || !slices.Equal(have, places) {
		t.Errorf("after %d: answer %d with %v, want %d with %v", at, got, have, answer, places)
	}
}

func TestMissed(t *testing.T) {
	h := begun(1<<20, replay.Open, 11, 12)
	other, unwanted := entry(13), entry(14)
	other.NSP = "/other"
	unwanted.Message.Target.Rooms = []string{"b"}
	h.Add(other)
	h.Add(unwanted)
	h.Add(entry(16))
	want(t, h, 9, replay.Older)
	want(t, h, 10, replay.Older)
	want(t, h, 11, replay.Found, 12, 16)
	want(t, h, 13, replay.Unknown) // of another namespace
	want(t, h, 14, replay.Found, 16)
	want(t, h, 15, replay.Unknown)
	want(t, h, 16, replay.Found)
	want(t, h, 17, replay.Unknown)
	if _, got := h.Missed("/", session, 12, "else"); got != replay.Unknown {
		t.Errorf("another message at the same place: %d", got)
	}
	h.Begin(20)
	want(t, h, 12, replay.Older)
}

func TestTheOldestIsForgotten(t *testing.T) {
	const room = 1000 // for two
	for name, tc := range map[string]struct {
		limit      int
		retain     time.Duration
		edge       replay.Edge
		at, before replay.Answer
	}{
		"exact": {limit: room, retain: time.Hour, edge: replay.Exact, at: replay.Found, before: replay.Older},
		"open":  {limit: room, retain: time.Hour, edge: replay.Open, at: replay.Older, before: replay.Older},
		"room":  {limit: room, retain: time.Hour, edge: replay.Aged, at: replay.Older, before: replay.Older},
		"aged":  {limit: 1 << 20, retain: time.Second, edge: replay.Aged, at: replay.Found, before: replay.Found},
	} {
		t.Run(name, func(t *testing.T) {
			h := begun(tc.limit, tc.edge)
			h.Retain(tc.retain)
			if h.Retention() != tc.retain {
				t.Error("another retention")
			}
			for p := place(11); p <= 14; p++ {
				h.Add(entry(p))
			}
			for at, answer := range map[place]replay.Answer{12: tc.at, 11: tc.before} {
				if answer == replay.Found {
					want(t, h, at, answer, 13, 14)
				} else {
					want(t, h, at, answer)
				}
			}
			want(t, h, 13, replay.Found, 14)
		})
	}
}

func TestSkippedIsNotRemembered(t *testing.T) {
	h := begun(1<<20, replay.Exact)
	h.Skip(11)
	h.Add(entry(12))
	want(t, h, 10, replay.Older)
	want(t, h, 11, replay.Found, 12)
}

func TestNobodyComesBackAcrossAGap(t *testing.T) {
	h := begun(1<<20, replay.Exact, 11, 12)
	h.Gapped(11, 0)
	want(t, h, 11, replay.Found, 12)
	h.Gapped(12, 0)
	want(t, h, 11, replay.Gapped)
	want(t, h, 12, replay.Found)
	h.Soil(7)
	h.Gapped(13, 6)
	h.Add(entry(14))
	want(t, h, 14, replay.Gapped)
	if h.Across(14) == nil {
		t.Error("nothing is across")
	}
	h.Gapped(15, 7)
	want(t, h, 14, replay.Gapped)
	if h.Across(14) == nil || h.Across(15) != nil {
		t.Error("the gap is elsewhere")
	}
	h.Add(entry(16))
	want(t, h, 16, replay.Found)
	h.Soil(replay.Forever)
	want(t, h, 16, replay.Gapped)
}

func TestReadersAndTheWriterAtOnce(t *testing.T) {
	h := begun(4000, replay.Exact, 11)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			at := place(11)
			for range 500 {
				list, what := h.Missed("/", session, at, offset(at))
				if what == replay.Found && len(list) > 0 {
					if list[0].Offset != offset(at+1) {
						t.Errorf("after %d came %v", at, list)
						return
					}
					at = number(t, list[len(list)/2])
				}
			}
		})
	}
	for p := place(12); p < 1000; p++ {
		h.Add(entry(p))
	}
	wg.Wait()
}
