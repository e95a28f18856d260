package adaptertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/socketeer-io/socketeer/adapter"
)

func missed(t *testing.T, l *logs) {
	first := l.emit(l.node(0), to("elsewhere"), `["first"]`)
	var offsets []string
	for i, target := range []adapter.Target{
		{}, to("me"), to("a"), to("b"), to("c"), to("a", "b"), to("x", "c"), to("x", "b"),
		{Except: []string{"a"}}, {Except: []string{"me"}}, {Except: []string{"x"}},
		{Rooms: []string{"a"}, Except: []string{"b"}}, {Rooms: []string{"a"}, Except: []string{"x", "y"}},
	} {
		offsets = append(offsets, l.emit(l.node(i), target, fmt.Sprintf("[%d]", i)))
	}
	for _, tc := range []struct {
		offset string
		rooms  []string
		want   string
	}{
		{first, []string{"me", "a", "b"}, "[0] [1] [2] [3] [5] [7] [10] [12]"},
		{first, []string{"me"}, "[0] [1] [8] [10]"},
		{first, []string{"other", "a"}, "[0] [2] [5] [9] [10] [11] [12]"},
		{first, []string{"other", "c"}, "[0] [4] [6] [8] [9] [10]"},
		{offsets[0], []string{"me"}, "[1] [8] [10]"},
		{offsets[7], []string{"me"}, "[8] [10]"},
		{offsets[10], []string{"me"}, ""},
		{offsets[12], []string{"me", "a"}, ""},
	} {
		for i, s := range l.sites {
			if got := strings.Join(l.missed(s, tc.offset, tc.rooms...), " "); got != tc.want {
				t.Errorf("node %d, %q after %q: got %q, want %q", i, tc.rooms, tc.offset, got, tc.want)
			}
		}
	}
}

func missedContent(t *testing.T, l *logs) {
	first := l.emit(l.node(0), to("x"), `["first"]`)
	const text = `["e",1,2.50,"é\n\u0000 😀",{"a":[null,true,{"_placeholder":true,"num":0}]},{"_placeholder":true,"num":1}]`
	attachments := [][]byte{{0, 1, 254, 255}, {}}
	offset := l.emit(l.node(0), to("me"), text, attachments...)
	for _, s := range l.sites {
		list, err := l.log(s).Missed(l.ctx(), &adapter.Session{Rooms: []string{"me"}}, first)
		if err != nil || len(list) != 1 {
			t.Fatalf("%d messages, error %v", len(list), err)
		}
		m := list[0]
		if !sameJSON(m.Data, []byte(text)) || !slices.EqualFunc(m.Attachments, attachments, bytes.Equal) {
			t.Errorf("got %s with %q", m.Data, m.Attachments)
		}
		if m.Kind != adapter.Broadcast || m.Offset != offset {
			t.Errorf("a %v at %q, not at %q", m.Kind, m.Offset, offset)
		}
	}
}

func sameJSON(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

func badOffsets(t *testing.T, l *logs) {
	l.emit(l.node(0), to("me"), `["e"]`)
	for _, offset := range []string{"", "0", "-", "nonsense", "Q87TrRi", `"`, "\x00", "1-2-3", strings.Repeat("9", 100), "😀"} {
		_, err := l.log(l.node(1)).Missed(l.ctx(), &adapter.Session{Rooms: []string{"me"}}, offset)
		unrecoverable(t, fmt.Sprintf("offset %q", offset), err, adapter.BadOffset)
	}
}

func sessions(t *testing.T, l *logs) {
	save, take := l.log(l.node(0)), l.log(l.node(1))
	pid := newID("p")
	_, err := take.TakeSession(l.ctx(), pid)
	unrecoverable(t, "unknown", err, adapter.NoSession)
	_, err = take.TakeSession(l.ctx(), "")
	unrecoverable(t, "empty", err, adapter.NoSession)
	want := adapter.Session{
		SID: newID("s"), PID: pid, Rooms: []string{"s", "r", "é 😀", ""},
		Data: []byte(`{"name":"é","n":1.5,"deep":{"list":[1,null,"x"]}}`), Live: true,
	}
	for _, s := range []adapter.Session{{SID: "old", PID: pid, Rooms: []string{"old"}, Data: []byte(`{"old":1}`)}, want} {
		if err := save.SaveSession(l.ctx(), &s); err != nil {
			t.Fatal(err)
		}
	}
	got, err := take.TakeSession(l.ctx(), pid)
	if err != nil {
		t.Fatal(err)
	}
	if got.SID != want.SID || got.PID != pid || !slices.Equal(got.Rooms, want.Rooms) || !sameJSON(got.Data, want.Data) || !got.Live {
		t.Errorf("got %+v with %s", got, got.Data)
	}
	_, err = take.TakeSession(l.ctx(), pid)
	unrecoverable(t, "taken", err, adapter.NoSession)

	want.Live = false
	if err := take.SaveSession(l.ctx(), &want); err != nil {
		t.Fatal(err)
	}
	if got, err = save.TakeSession(l.ctx(), pid); err != nil || got.Live {
		t.Errorf("saved again: %+v, %v", got, err)
	}
	if err := save.SaveSession(l.ctx(), &want); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is none
		if err := take.DropSession(l.ctx(), pid); err != nil {
			t.Fatal(err)
		}
	}
	_, err = save.TakeSession(l.ctx(), pid)
	unrecoverable(t, "dropped", err, adapter.NoSession)
}

func oneCaller(t *testing.T, l *logs) {
	for range 20 {
		s := &adapter.Session{SID: newID("s"), PID: newID("p"), Rooms: []string{"s"}, Data: []byte("{}")}
		if err := l.log(l.node(0)).SaveSession(l.ctx(), s); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var got atomic.Int32
		for i := range 10 {
			wg.Go(func() {
				taken, err := l.log(l.node(i)).TakeSession(l.ctx(), s.PID)
				if err != nil {
					unrecoverable(t, "taken by another", err, adapter.NoSession)
					return
				}
				got.Add(1)
				if taken.SID != s.SID {
					t.Errorf("session of %q, not of %q", taken.SID, s.SID)
				}
			})
		}
		wg.Wait()
		if n := got.Load(); n != 1 {
			t.Fatalf("%d of 10 got the session", n)
		}
	}
}

func foreignSession(t *testing.T, l *logs) {
	other := &logs{t: t, nsp: l.nsp + "2", retain: l.retain, nodes: l.nodes, partial: l.partial}
	other.sites = open(t, l.nodes, other.nsp)
	for _, s := range other.sites {
		other.log(s).Retain(l.retain)
	}
	s := &adapter.Session{SID: newID("s"), PID: newID("p"), Rooms: []string{"s"}, Data: []byte("{}")}
	if err := l.log(l.node(0)).SaveSession(l.ctx(), s); err != nil {
		t.Fatal(err)
	}
	_, err := other.log(other.node(0)).TakeSession(l.ctx(), s.PID)
	unrecoverable(t, "another namespace's", err, adapter.NoSession)
	if _, err := l.log(l.node(0)).TakeSession(l.ctx(), s.PID); err != nil {
		t.Errorf("its own: %v", err)
	}
	offset := l.emit(l.node(0), to("s"), `["here"]`)
	other.emit(other.node(0), to("s"), `["there"]`)
	if got := l.missed(l.node(1), offset, "s"); len(got) > 0 {
		t.Errorf("messages of another namespace: %q", got)
	}
}

func trimmed(t *testing.T, l *logs, trim func(tb testing.TB, nsp string, emit func())) {
	if trim == nil {
		t.Skip("no way to trim the log")
	}
	offset := l.emit(l.node(0), to("me"), `["first"]`)
	l.emit(l.node(0), to("me"), `["lost"]`)
	trim(t, l.nsp, func() { l.emit(l.node(0), to("x"), `["`+strings.Repeat("x", 1000)+`"]`) })
	l.emit(l.node(0), to("x"), `["after"]`)
	_, err := l.log(l.node(1)).Missed(l.ctx(), &adapter.Session{Rooms: []string{"me"}}, offset)
	unrecoverable(t, "an offset before what is kept", err, adapter.Trimmed)
	offset = l.emit(l.node(0), to("me"), `["second"]`)
	l.emit(l.node(0), to("me"), `["third"]`)
	if got := l.missed(l.node(1), offset, "me"); !slices.Equal(got, []string{`["third"]`}) {
		t.Errorf("after it: %q", got)
	}
}
