package adapter_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

func memory(tb testing.TB, m adapter.Memory, retain time.Duration) adapter.Log {
	tb.Helper()
	a, err := m.Open(tb.Context(), "/", nil)
	if err != nil {
		tb.Fatal(err)
	}
	l, ok := a.(adapter.Log)
	if !ok {
		tb.Fatal("no log")
	}
	l.Retain(retain)
	return l
}

func keep(tb testing.TB, l adapter.Log, data string) (offset string) {
	tb.Helper()
	err := l.Append(&adapter.Message{Kind: adapter.Broadcast, Data: []byte(data)}, func(o string) { offset = o })
	if err != nil || offset == "" {
		tb.Fatalf("not kept: %v", err)
	}
	return offset
}

func reason(err error) string {
	var u *adapter.Unrecoverable
	if errors.As(err, &u) {
		return u.Reason
	}
	return fmt.Sprint(err)
}

func TestMemoryForgetsWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memory(t, adapter.Memory{}, 10*time.Second)
		s := &adapter.Session{SID: "s", PID: "p", Rooms: []string{"s"}}
		if err := l.SaveSession(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		first := keep(t, l, "[1]")
		second := keep(t, l, "[2]")
		<-time.After(9 * time.Second)
		third := keep(t, l, "[3]")
		if list, err := l.Missed(t.Context(), s, first); err != nil || len(list) != 2 {
			t.Errorf("within the time: %d messages, %v", len(list), err)
		}
		<-time.After(2 * time.Second)
		if _, err := l.Missed(t.Context(), s, first); reason(err) != adapter.Trimmed {
			t.Errorf("after the time: %v", err)
		}
		if list, err := l.Missed(t.Context(), s, second); err != nil || len(list) != 1 || list[0].Offset != third {
			t.Errorf("what is younger: %v, %v", list, err)
		}
		if _, err := l.TakeSession(t.Context(), "p"); reason(err) != adapter.NoSession {
			t.Errorf("session after the time: %v", err)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	l := memory(t, adapter.Memory{LogBytes: 10_000}, time.Hour)
	first := keep(t, l, "[]")
	for i := range 100 {
		keep(t, l, `["`+strings.Repeat("x", 1000)+`"]`)
		s := &adapter.Session{SID: "s", PID: fmt.Sprint(i), Data: []byte(strings.Repeat("x", 1000))}
		if err := l.SaveSession(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Missed(t.Context(), &adapter.Session{}, first); reason(err) != adapter.Trimmed {
		t.Errorf("messages: %v", err)
	}
	if _, err := l.TakeSession(t.Context(), "0"); reason(err) != adapter.NoSession {
		t.Errorf("the oldest session: %v", err)
	}
	if _, err := l.TakeSession(t.Context(), "99"); err != nil {
		t.Errorf("the newest session: %v", err)
	}
}

// FuzzMemoryOffset presents offsets: those that were given lead to what came
// after them, all others are refused.
func FuzzMemoryOffset(f *testing.F) {
	l := memory(f, adapter.Memory{}, time.Hour)
	given := map[string]int{}
	for i := range 40 {
		offset := keep(f, l, "[]")
		given[offset] = 39 - i
		f.Add(offset)
	}
	for _, s := range []string{"", ".", "0", "zz", "-1", "+1", "99999999999999999999", "01", "A", "😀"} {
		f.Add(s)
		for offset := range given {
			epoch, _, _ := strings.Cut(offset, ".")
			f.Add(epoch + "." + s)
			break
		}
	}
	f.Fuzz(func(t *testing.T, offset string) {
		list, err := l.Missed(t.Context(), &adapter.Session{}, offset)
		want, ok := given[offset]
		switch {
		case ok && (err != nil || len(list) != want):
			t.Errorf("%q: %d messages instead of %d, error %v", offset, len(list), want, err)
		case !ok && reason(err) != adapter.BadOffset:
			t.Errorf("%q: %d messages, error %v", offset, len(list), err)
		}
	})
}
