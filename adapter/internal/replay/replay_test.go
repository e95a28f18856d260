package replay_test

import (
	"cmp"
	"errors"
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
		n, err := strconv.Atoi(m.Offset[1:])
		if err != nil {
			t.Fatal(err)
		}
		have = append(have, place(n))
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
		start      place
	}{
		"exact": {limit: room, retain: time.Hour, edge: replay.Exact, at: replay.Found, before: replay.Older, start: 12},
		"open":  {limit: room, retain: time.Hour, edge: replay.Open, at: replay.Older, before: replay.Older, start: 12},
		"room":  {limit: room, retain: time.Hour, edge: replay.Aged, at: replay.Older, before: replay.Older, start: 12},
		"aged":  {limit: 1 << 20, retain: time.Second, edge: replay.Aged, at: replay.Found, before: replay.Found, start: 12},
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
			if h.Start() != tc.start {
				t.Errorf("begins at %d, want %d", h.Start(), tc.start)
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
	if _, got := h.After("/", session, 10); got != replay.Gapped {
		t.Errorf("answer %d", got)
	}
	h.Gapped(15, 7)
	want(t, h, 14, replay.Gapped)
	h.Add(entry(16))
	want(t, h, 16, replay.Found)
	h.Soil(replay.Forever)
	want(t, h, 16, replay.Gapped)
}

func TestExtend(t *testing.T) {
	part := func(gap place) replay.Part[place] {
		return replay.Part[place]{Start: 7, Edge: replay.Exact, List: []replay.Entry[place]{entry(8), entry(9)}, Gap: gap}
	}
	for name, tc := range map[string]struct {
		limit int
		to    place
		gap   place
		want  func(t *testing.T, h *replay.History[place])
	}{
		"before the start": {1 << 20, 10, 0, func(t *testing.T, h *replay.History[place]) {
			want(t, h, 7, replay.Found, 8, 9, 11)
			want(t, h, 6, replay.Older)
		}},
		"with a gap": {1 << 20, 10, 8, func(t *testing.T, h *replay.History[place]) {
			want(t, h, 7, replay.Gapped)
			want(t, h, 8, replay.Found, 9, 11)
		}},
		"no room": {500, 10, 8, func(t *testing.T, h *replay.History[place]) {
			want(t, h, 9, replay.Older)
			want(t, h, 7, replay.Gapped) // known all the same
		}},
		"it has moved on":   {1 << 20, 9, 0, func(t *testing.T, h *replay.History[place]) { want(t, h, 8, replay.Older) }},
		"it has begun anew": {1 << 20, 30, 25, func(t *testing.T, h *replay.History[place]) { want(t, h, 11, replay.Found) }},
	} {
		t.Run(name, func(t *testing.T) {
			h := begun(tc.limit, replay.Exact, 11)
			h.Extend(part(tc.gap), tc.to)
			tc.want(t, h)
			if list, got := h.After("/", session, h.Start()); got == replay.Found && len(list) == 0 {
				t.Error("nothing is left")
			}
			if _, got := h.After("/", session, 1); got != replay.Older && got != replay.Gapped {
				t.Errorf("another start: answer %d", got)
			}
		})
	}
}

func TestTheListOfAPartStaysTheCallers(t *testing.T) {
	h := begun(1<<20, replay.Exact, 11)
	list := append(make([]replay.Entry[place], 0, 8), entry(8), entry(9))
	h.Extend(replay.Part[place]{Start: 7, Edge: replay.Exact, List: list}, 10)
	h.Retain(0)
	h.Add(entry(12)) // forgets all before
	if h.Start() != 11 || list[0].Message == nil || list[1].Message == nil {
		t.Errorf("history begins at %d, the list is %v", h.Start(), list)
	}
}

func TestAnswersSayWhyNobodyRecovers(t *testing.T) {
	for answer, reason := range map[replay.Answer]string{
		replay.Found: "", replay.Older: "", replay.Unknown: adapter.BadOffset, replay.Gapped: adapter.Gap,
	} {
		var why *adapter.Unrecoverable
		err := answer.Err()
		if errors.As(err, &why); (err != nil) != (reason != "") || why != nil && why.Reason != reason {
			t.Errorf("answer %d: %v", answer, err)
		}
	}
}

func TestReadersAndTheWriterAtOnce(t *testing.T) {
	h := begun(4000, replay.Exact, 11)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				start := h.Start()
				list, what := h.After("/", session, start)
				if what == replay.Found && (len(list) == 0 || list[0].Offset != offset(start+1)) {
					t.Errorf("after %d came %v", start, list)
					return
				}
			}
		})
	}
	for p := place(12); p < 1000; p++ {
		h.Add(entry(p))
	}
	wg.Wait()
}
