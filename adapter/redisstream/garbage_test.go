package redisstream_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/mixedtest"
	"github.com/socketeer-io/socketeer/adapter/redisstream"
	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/internal/redislink"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// victim is a cluster that gets what makes no sense.
func victim(server *redistest.Server, w mixedtest.Wire) mixedtest.Victim {
	o := redisstream.Options{URLs: []string{server.URL()}, UseShardedPubSub: w == mixedtest.StreamsSharded, MaxLen: -1}
	o.StreamName = fmt.Sprint("victim", w)
	o.ChannelPrefix = o.StreamName
	return mixedtest.Victim{
		Wire: w, URL: server.URL(), Prefix: o.ChannelPrefix,
		Start: func(tb testing.TB, name string, log *slog.Logger) mixedtest.Target {
			o := o
			o.Name, o.Logger = name, log
			c := start(tb, o)
			return mixedtest.Target{Member: c, Node: c, Ready: c.Ready, Count: func() mixedtest.Counts {
				s := c.Stats()
				return mixedtest.Counts{
					Malformed: s.Malformed, Late: s.Late, TooMuch: s.Drops.Responses,
					Lost: s.Channels.Drops.Receive + s.ReadErrors + s.Gaps,
				}
			}}
		},
		Also: func(t *testing.T, r *mixedtest.Raw, garbage [][]byte) { badEntries(t, r, o.StreamName, garbage) },
	}
}

// badEntries writes garbage to a stream: in place of each field, of all, and of
// those that there should be.
func badEntries(t *testing.T, r *mixedtest.Raw, stream string, garbage [][]byte) {
	t.Helper()
	var entries [][]string
	for _, g := range garbage {
		text := string(g)
		entries = append(entries,
			[]string{"something", text},
			[]string{"uid", "a", "nsp", "/", "type", text},
			[]string{"uid", "a", "nsp", "/", "type", "3", "data", text},
			[]string{"uid", "a", "nsp", "/", "type", "9", "data", base64.StdEncoding.EncodeToString(g)},
			[]string{"uid", text, "nsp", text, "type", text, "data", text, "seq", text},
		)
	}
	for _, m := range []*nodewire.Message{
		{Type: nodewire.Broadcast, Data: []byte(`["truncated",1]`)},
		{Type: nodewire.Broadcast, Data: []byte(`["truncated",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2, 3}}},
		{Type: nodewire.SocketsJoin, Rooms: []string{"truncated"}},
		{Type: nodewire.DisconnectSockets, Close: true},
	} {
		m.UID, m.NSP = "a", "/"
		fields, err := nodewire.StreamFields(m)
		if err != nil {
			t.Fatal(err)
		}
		data := fields[len(fields)-1]
		for i := range len(data) - 2 { // base64 may lack what fills it up
			entries = append(entries, append(slices.Clone(fields[:len(fields)-1]), data[:i]))
		}
	}
	ctx := patient(t)
	for _, fields := range entries {
		send := func() error {
			add := r.Client().B().Arbitrary("XADD").Keys(stream).Args("*").Args(fields...).Build()
			return r.Send(add, func(_ rueidis.RedisMessage, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		err := send()
		for errors.Is(err, redislink.ErrBacklog) && mixedtest.Moment(ctx) == nil {
			err = send()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestGarbage: what makes no sense is counted, told once and ignored, on every
// channel and in the stream.
func TestGarbage(t *testing.T) {
	server := redistest.Standalone(t)
	for _, w := range []mixedtest.Wire{mixedtest.Streams, mixedtest.StreamsSharded} {
		t.Run(w.String(), func(t *testing.T) { mixedtest.RunGarbage(t, victim(server, w)) })
	}
}

// TestHugeResponse: an answer of a million elements costs no more memory than a
// small multiple of its size, and is not kept if that is too much.
func TestHugeResponse(t *testing.T) {
	server := redistest.Standalone(t)
	server.Must("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0")
	mixedtest.RunHuge(t, victim(server, mixedtest.Streams))
}

// TestGarbageMissed: who comes back gets what is between garbage, and a session
// that makes no sense is none.
func TestGarbageMissed(t *testing.T) {
	r := redistest.Standalone(t)
	// Without memory everything is read from the stream.
	s := attach(t, start(t, redisstream.Options{URLs: []string{r.URL()}, MaxLen: -1, HistoryBytes: 1, KeepTimeout: patience}), "/")
	raw := mixedtest.NewRaw(t, r.URL())
	s.emit("first", "r")
	first := s.offsetOf("first")
	garbage := mixedtest.Garbage()
	badEntries(t, raw, "socket.io", garbage[:40])
	s.emit("second", "r")
	s.offsetOf("second")
	badEntries(t, raw, "socket.io", garbage[40:])
	s.emit("third", "r")
	s.offsetOf("third")
	got, err := s.missed(first, "r")
	if want := []string{`["e","second"]`, `["e","third"]`}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	session, err := nodewire.EncodeSession(&adapter.Session{SID: "s", PID: "p", Rooms: []string{"r"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range mixedtest.Garbage([]byte(strings.TrimRight(session, "="))) {
		r.Must("SET", "sio:session:p", string(g))
		if got, err := s.l.TakeSession(patient(t), "p"); err == nil || reason(t, err) != adapter.NoSession {
			t.Errorf("%.100q is a session: %+v, %v", g, got, err)
		}
	}
	r.Must("DEL", "sio:session:p")
	r.Must("LPUSH", "sio:session:p", "x")
	if got, err := s.l.TakeSession(patient(t), "p"); reason(t, err) != adapter.LogFailure {
		t.Errorf("a list is a session: %+v, %v", got, err)
	}
}
