package redisstream_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/redisstream"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// keepAll emits messages, each to a room of its own and to "all", and returns
// them with their offsets.
func keepAll(s *site, from, to, bytes int) []event {
	for i := from; i < to; i++ {
		s.emit(fmt.Sprint(i, " ", strings.Repeat("x", bytes)), "all", fmt.Sprint(i))
		if i%500 == 499 {
			s.waitLen(i + 1)
		}
	}
	return s.waitLen(to)
}

// Clients that come back from all over what was missed, to a node that has just
// started and may remember hardly anything, cost as many reads as one.
func TestStampedeBeyondTheHistory(t *testing.T) {
	r := redistest.Standalone(t)
	old := attach(t, start(t, redisstream.Options{URLs: []string{r.URL()}}), "/")
	const count, clients = 5000, 400
	all := keepAll(old, 0, count, 500)
	c := start(t, redisstream.Options{URLs: []string{r.URL()}, HistoryBytes: 64 << 10})
	s := attach(t, c, "/")
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			at := i * count / clients
			got, err := s.missed(all[at].offset, "all")
			if err != nil || len(got) != count-1-at || len(got) > 0 && got[0] != all[at+1].data {
				t.Errorf("client %d got %d, %v; want %d", i, len(got), err, count-1-at)
			}
		})
	}
	wg.Wait()
	if s := c.Stats(); s.Scans > 1+1+count/1000 {
		t.Errorf("%d pages of the stream were read for %d messages and %d clients", s.Scans, count, clients)
	}
}

// While they come back, messages go on: each client gets what comes after its
// offset and was there when it asked, or more, in its order and without a hole.
func TestStampedeWhileMessagesGoOn(t *testing.T) {
	r := redistest.Standalone(t)
	old := attach(t, start(t, redisstream.Options{URLs: []string{r.URL()}}), "/")
	const count, more, clients = 2000, 2000, 200
	all := keepAll(old, 0, count, 500)
	c := start(t, redisstream.Options{URLs: []string{r.URL()}, HistoryBytes: 64 << 10})
	s := attach(t, c, "/")
	got := make([][]string, clients)
	var wg sync.WaitGroup
	wg.Go(func() { keepAll(old, count, count+more, 500) })
	for i := range clients {
		wg.Go(func() {
			s.waitLen(1 + i*more/clients) // of what goes on
			seen := len(s.wait("anything", func([]event) bool { return true }))
			at := i * count / clients
			list, err := s.missed(all[at].offset, "all")
			if err != nil || len(list) < count-1-at+seen {
				t.Errorf("client %d got %d, %v; want %d", i, len(list), err, count-1-at+seen)
			}
			got[i] = list
		})
	}
	wg.Wait()
	all = old.waitLen(count + more)
	for i, list := range got {
		for j, data := range list {
			if want := all[i*count/clients+1+j].data; data != want {
				t.Fatalf("client %d got %.20s in place of %.20s", i, data, want)
			}
		}
	}
	if s := c.Stats(); s.Scans > 2+(count+more)/1000 {
		t.Errorf("%d pages of the stream were read for %d messages and %d clients", s.Scans, count+more, clients)
	}
}

// Who missed more than a node may read is told what to raise; the others recover.
func TestMoreThanMayBeRead(t *testing.T) {
	r := redistest.Standalone(t)
	old := attach(t, start(t, redisstream.Options{URLs: []string{r.URL()}}), "/")
	const count = 2000
	all := keepAll(old, 0, count, 500)
	c := start(t, redisstream.Options{URLs: []string{r.URL()}, HistoryBytes: 1, RecoveryBytes: 1 << 20})
	s := attach(t, c, "/")
	for i := range 100 {
		_, err := s.missed(all[i].offset, "all")
		if reason(t, err) != adapter.LogFailure || !strings.Contains(err.Error(), "RecoveryBytes is 1048576") {
			t.Fatalf("got %v", err)
		}
	}
	if got, err := s.missed(all[count-501].offset, "all"); err != nil || len(got) != 500 {
		t.Errorf("got %d, %v", len(got), err)
	}
	if s := c.Stats(); s.Scans > 1+1+count/1000 {
		t.Errorf("%d pages of the stream were read", s.Scans)
	}
}

// Clients whose offsets were trimmed learn it from one look at the stream.
func TestStampedeAfterATrim(t *testing.T) {
	r := redistest.Standalone(t)
	old := attach(t, start(t, redisstream.Options{URLs: []string{r.URL()}}), "/")
	all := keepAll(old, 0, 3000, 10)
	r.Must("XTRIM", "socket.io", "MAXLEN", "1500")
	c := start(t, redisstream.Options{URLs: []string{r.URL()}})
	s := attach(t, c, "/")
	var wg sync.WaitGroup
	for i := range 400 {
		wg.Go(func() {
			if _, err := s.missed(all[i].offset, "all"); reason(t, err) != adapter.Trimmed {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	if n := c.Stats().Scans; n != 1 {
		t.Errorf("%d pages of the stream were read", n)
	}
	if got, err := s.missed(all[1500].offset, "1501"); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}
