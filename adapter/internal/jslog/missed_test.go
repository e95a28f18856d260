package jslog_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/jslog"
)

// keepAll keeps numbers as messages and returns their offsets.
func keepAll(t *testing.T, l *jslog.Log, from, to int) []string {
	t.Helper()
	offsets := make([]string, to-from)
	var wg sync.WaitGroup
	for i := range offsets {
		body := []byte(fmt.Sprint("/ ", from+i))
		_, m, _, _ := decode(body)
		wg.Add(1)
		if err := l.Append("/", m, body, false, func(offset string) {
			offsets[i] = offset
			wg.Done()
		}); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 { // so that there are some batches
			wg.Wait()
		}
	}
	wg.Wait()
	if slices.Contains(offsets, "") {
		t.Fatal("not all were kept")
	}
	return offsets
}

// come has a client come back, and returns how many messages it got: those that
// follow its own, in their order and without a hole.
func come(t *testing.T, l *jslog.Log, after int, offset string) (int, error) {
	list, err := l.Missed(patient(t), "/", &adapter.Session{Rooms: []string{"x"}}, offset)
	for i, m := range list {
		if want := fmt.Sprint(after + 1 + i); string(m.Data) != want {
			t.Errorf("after %d came %s in place of %s", after, m.Data, want)
			break
		}
	}
	return len(list), err
}

// Clients that come back from all over what was missed, to a node that has just
// started and remembers a part of it, cost about as many reads as one; also if
// messages go on.
func TestStampedeBeyondTheHistory(t *testing.T) {
	js := connect(t, t.TempDir())
	old := start(t, js, "old", nil)
	const count, more, clients = 2000, 1000, 300
	offsets := keepAll(t, old, 0, count)
	// A message takes about 400 bytes: half of them fit.
	fresh := start(t, js, "fresh", func(c *jslog.Config) { c.HistoryBytes = (count + more) / 2 * 400 })
	var wg sync.WaitGroup
	wg.Go(func() { keepAll(t, old, count, count+more) })
	for i := range clients {
		wg.Go(func() {
			at := i * count / clients
			if n, err := come(t, fresh, at, offsets[at]); err != nil || n < count-1-at {
				t.Errorf("client %d got %d, %v", i, n, err)
			}
		})
	}
	wg.Wait()
	if n, err := come(t, fresh, 0, offsets[0]); err != nil || n != count+more-1 {
		t.Errorf("got %d, %v", n, err)
	}
	if n := fresh.Stats().Scans; n > 5 {
		t.Errorf("the stream was read %d times for %d clients", n, clients)
	}
}

// Who missed more than a node may read is told what to raise; the others recover.
func TestMoreThanMayBeRead(t *testing.T) {
	js := connect(t, t.TempDir())
	old := start(t, js, "old", nil)
	const count, clients = 2000, 100
	offsets := keepAll(t, old, 0, count)
	fresh := start(t, js, "fresh", func(c *jslog.Config) { c.HistoryBytes = count / 4 * 400 })
	for i := range clients {
		_, err := come(t, fresh, i, offsets[i])
		var u *adapter.Unrecoverable
		if !errors.As(err, &u) || u.Reason != adapter.LogFailure || !strings.Contains(err.Error(), "LogBytes is 200000") {
			t.Fatalf("got %v", err)
		}
	}
	if n, err := come(t, fresh, count-901, offsets[count-901]); err != nil || n != 900 {
		t.Errorf("got %d, %v", n, err)
	}
	if n := fresh.Stats().Scans; n > 5 {
		t.Errorf("the stream was read %d times for %d clients", n, clients)
	}
}

// Clients whose messages were removed learn it from one look at the stream, and
// what is behind a hole is of use to nobody.
func TestStampedeAfterARemoval(t *testing.T) {
	js := connect(t, t.TempDir())
	s, err := js.CreateStream(patient(t), jetstream.StreamConfig{ // those that nodes make do not allow it
		Name: "test-log", Subjects: []string{"test.log.*"}, MaxAge: time.Hour, MaxBytes: jslog.DefaultMaxBytes,
	})
	if err != nil {
		t.Fatal(err)
	}
	old := start(t, js, "old", nil)
	const count = 30
	var offsets []string
	for i := range count { // a batch each
		offsets = append(offsets, keepAll(t, old, i, i+1)...)
	}
	remove := func(i int) {
		t.Helper()
		if err := s.DeleteMsg(patient(t), uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		remove(i)
	}
	remove(19)
	fresh := start(t, js, "fresh", nil)
	for i := range 19 {
		_, err := come(t, fresh, i, offsets[i])
		var u *adapter.Unrecoverable
		if !errors.As(err, &u) || u.Reason != adapter.Trimmed {
			t.Errorf("after %d: %v", i, err)
		}
	}
	if n, err := come(t, fresh, 20, offsets[20]); err != nil || n != 9 {
		t.Errorf("got %d, %v", n, err)
	}
	if n := fresh.Stats().Scans; n > 2 {
		t.Errorf("the stream was read %d times", n)
	}
}
