package redisstream_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/redisstream"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// All nodes see what is kept in one order, and give clients what they missed
// from any place in it.
func TestOneOrder(t *testing.T) {
	r := redistest.Standalone(t)
	nodes := startAll(t, 3, redisstream.Options{URLs: []string{r.URL()}})
	var sites []*site
	for _, c := range nodes {
		sites = append(sites, attach(t, c, "/"))
	}
	const each = 300
	var wg sync.WaitGroup
	for i, s := range sites {
		wg.Go(func() {
			for j := range each {
				s.emit(fmt.Sprint(i, " ", j), []string{"a", "b"}[j%2])
			}
		})
	}
	wg.Wait()
	all := sites[0].waitLen(3 * each)
	inOrder(t, sites[0], all)
	for _, s := range sites[1:] {
		if seen := s.waitLen(3 * each); !slices.Equal(seen, all) {
			t.Fatal("nodes do not see the same")
		}
	}
	late := attach(t, start(t, redisstream.Options{URLs: []string{r.URL()}}), "/")
	for _, s := range append(sites, late) {
		for _, i := range []int{3*each - 1, 500, 3, 0} {
			var want []string
			for _, e := range all[i+1:] {
				if isFor(e, 1) {
					want = append(want, e.data)
				}
			}
			got, err := s.missed(all[i].offset, "x", "b")
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("after %d: got %d messages, %v; want %d", i, len(got), err, len(want))
			}
		}
	}
}

// isFor reports whether a message was to room a (0) or b (1).
func isFor(e event, room int) bool {
	var i, j int
	fmt.Sscanf(e.data, `["e","%d %d"]`, &i, &j)
	return j%2 == room
}

// Many clients that return to a node that has just started cost few reads.
func TestStampede(t *testing.T) {
	r := redistest.Standalone(t)
	old := attach(t, start(t, redisstream.Options{URLs: []string{r.URL()}}), "/")
	const count = 3000
	for i := range count {
		old.emit(fmt.Sprint(i))
	}
	all := old.waitLen(count)
	c := start(t, redisstream.Options{URLs: []string{r.URL()}})
	s := attach(t, c, "/")
	s.emit("live")
	s.waitLen(1)
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			got, err := s.missed(all[i*count/500].offset, "x")
			if want := count - i*count/500; err != nil || len(got) != want || got[want-1] != `["e","live"]` {
				t.Errorf("client %d got %d, %v; want %d", i, len(got), err, want)
			}
		})
	}
	wg.Wait()
	if s := c.Stats(); s.Scans > 20 || s.Ends > 100 {
		t.Errorf("the stream was read %d times, and its end %d times, for 500 clients", s.Scans, s.Ends)
	}
}

func TestOffsets(t *testing.T) {
	r := redistest.Standalone(t)
	o := redisstream.Options{URLs: []string{r.URL()}, MaxLen: -1}
	s := attach(t, start(t, o), "/")
	other := attach(t, start(t, o), "/other")
	for i := range 5 {
		s.emit(fmt.Sprint(i))
		s.waitLen(i + 1)
		other.emit("x")
		other.waitLen(i + 1)
	}
	fresh := attach(t, start(t, o), "/")
	foreign := other.seen[2].offset
	future := strings.Replace(s.seen[4].offset, "-", "0-", 1)
	for _, c := range []struct{ offset, want string }{
		{"", adapter.BadOffset}, {"x", adapter.BadOffset}, {"1", adapter.BadOffset}, {"1-01", adapter.BadOffset},
		{"01-1", adapter.BadOffset}, {"99999999999999999999-1", adapter.BadOffset}, {"1-1-1", adapter.BadOffset},
		{foreign, adapter.BadOffset}, {future, adapter.BadOffset}, {"1-1", adapter.Trimmed}, {"0-0", adapter.Trimmed},
	} {
		for name, site := range map[string]*site{"old": s, "fresh": fresh} {
			want := c.want
			if name == "old" && want == adapter.Trimmed {
				continue // see below
			}
			if _, err := site.missed(c.offset, "r"); reason(t, err) != want {
				t.Errorf("%s node, offset %q: %v, want %s", name, c.offset, err, want)
			}
		}
	}
	r.Must("XTRIM", "socket.io", "MAXLEN", "4")
	fresher := attach(t, start(t, o), "/")
	if _, err := fresher.missed(s.seen[1].offset, "r"); reason(t, err) != adapter.Trimmed {
		t.Errorf("got %v", err)
	}
	// Who has it in memory gives it all the same.
	if got, err := s.missed(s.seen[1].offset, "r"); err != nil || len(got) != 3 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestSessions(t *testing.T) {
	r := redistest.Standalone(t)
	nodes := startAll(t, 2, redisstream.Options{URLs: []string{r.URL()}, HeartbeatInterval: 100e6})
	a, b := attach(t, nodes[0], "/"), attach(t, nodes[1], "/")
	foreign := attach(t, nodes[1], "/admin")
	ctx := patient(t)
	want := &adapter.Session{SID: "sid", PID: "pid", Rooms: []string{"sid", "r"}, Data: []byte(`{"k":[1,null]}`), Live: true}
	if err := a.l.SaveSession(ctx, want); err != nil {
		t.Fatal(err)
	}
	if _, err := foreign.l.TakeSession(ctx, "pid"); reason(t, err) != adapter.NoSession {
		t.Errorf("another namespace took it: %v", err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var taken []*adapter.Session
	for i := range 20 {
		wg.Go(func() {
			got, err := []*site{a, b}[i%2].l.TakeSession(ctx, "pid")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken = append(taken, got)
			} else if reason(t, err) != adapter.NoSession {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(taken) != 1 {
		t.Fatalf("taken %d times", len(taken))
	}
	got := taken[0]
	if got.SID != want.SID || got.PID != want.PID || !slices.Equal(got.Rooms, want.Rooms) || string(got.Data) != string(want.Data) || !got.Live {
		t.Errorf("got %+v", got)
	}
	if err := a.l.SaveSession(ctx, want); err != nil {
		t.Fatal(err)
	}
	if ttl := r.Must("PTTL", "sio:session:pid").(int64); ttl < 50_000 || ttl > 60_000 {
		t.Errorf("it is kept for %d ms, want a minute", ttl)
	}
	if err := b.l.DropSession(ctx, "pid"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.l.TakeSession(ctx, "pid"); reason(t, err) != adapter.NoSession {
		t.Errorf("got %v", err)
	}
	// As Node.js saves it.
	r.Must("SET", "sio:session:Za6F1SiTIT6ySW2gAAAD", "hKNzaWS0cl9FWGhBcmczZldKLU9NUEFBQUOjcGlktFphNkYxU2lUSVQ2eVNXMmdBQUFEpXJvb21zkrRyX0VYaEFyZzNmV0otT01QQUFBQ6Vyb29tMaRkYXRhgA==")
	if got, err := a.l.TakeSession(ctx, "Za6F1SiTIT6ySW2gAAAD"); err != nil || got.SID != "r_EXhArg3fWJ-OMPAAAC" || got.Rooms[1] != "room1" || got.Live {
		t.Errorf("got %+v, %v", got, err)
	}
	// A node that dies leaves sessions that are not live any more.
	if err := a.l.SaveSession(ctx, want); err != nil {
		t.Fatal(err)
	}
	nodes[0].Close(ctx)
	eventually(t, "the goodbye", func() bool { return len(nodes[1].Members()) == 1 })
	if got, err := b.l.TakeSession(ctx, "pid"); err != nil || got.Live {
		t.Errorf("got %+v, %v", got, err)
	}
}
