package redis_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/mixedtest"
	"github.com/socketeer-io/socketeer/adapter/redis"
	"github.com/socketeer-io/socketeer/internal/redislink"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// containing returns what was published with a text in it.
func containing(r *mixedtest.Raw, text string) string {
	return string(r.Until(func(m redislink.Message) bool { return strings.Contains(string(m.Data), text) }).Data)
}

// TestOldNode: requests that Node.js 8.x does not send, and forms that only old
// adapters and emitters use.
func TestOldNode(t *testing.T) {
	server := redistest.Standalone(t)
	prefix := fmt.Sprint("test", clusters.Add(1))
	c := node(t, redis.Options{URLs: []string{server.URL()}, Prefix: prefix})
	s, r := open(t, c, "/"), mixedtest.NewRaw(t, server.URL())
	must(t, r.Subscribe(patient(t), prefix+"-response#/#"))
	ask := func(request string) {
		t.Helper()
		must(t, r.Publish(prefix+"-request#/#", []byte(request)))
	}
	ask(`{"uid":"abcdef","requestId":"q0","type":0,"rooms":[]}`)
	if got := containing(r, `"q0"`); !strings.Contains(got, `"sockets":["`+s.sid+`"]`) {
		t.Errorf("got %s", got)
	}
	ask(`{"uid":"abcdef","requestId":"q1","type":1}`)
	if got := containing(r, `"q1"`); !strings.Contains(got, `"rooms":["`+s.sid+`","r"]`) {
		t.Errorf("got %s", got)
	}
	for i, request := range []string{
		`"type":2,"sid":"%s","room":"a room"`, `"type":3,"sid":"%s","room":"a room"`, `"type":4,"sid":"%s","close":true`,
	} {
		request = fmt.Sprintf(request, s.sid)
		ask(fmt.Sprintf(`{"requestId":"legacy %d",%s}`, i, request))
		if got := containing(r, fmt.Sprintf("legacy %d", i)); !strings.HasPrefix(got, fmt.Sprintf(`{"requestId":"legacy %d"`, i)) {
			t.Errorf("got %s", got)
		}
		ask(fmt.Sprintf(`{"requestId":"other %d",%s}`, i, strings.Replace(request, s.sid, "somebody else's socket", 1)))
	}
	s.until(t, "a disconnect", func(m *adapter.Message) bool { return m.Kind == adapter.Disconnect && m.Close })
	join := s.until(t, "a join", func(m *adapter.Message) bool { return m.Kind == adapter.Join })
	if !slices.Equal(join.Target.Rooms, []string{s.sid}) || !slices.Equal(join.Rooms, []string{"a room"}) {
		t.Errorf("got %+v", join)
	}
	// An emitter, whose requests have no uid.
	ask(`{"type":2,"opts":{"rooms":["x"],"except":[]},"rooms":["emitter room"]}`)
	s.until(t, "a join", func(m *adapter.Message) bool { return slices.Equal(m.Rooms, []string{"emitter room"}) })
	ask(`{"uid":"abcdef","requestId":"q9","type":5,"opts":{"rooms":[],"except":[]}}`)
	containing(r, `"q9"`)
	for _, m := range r.Got() {
		if strings.Contains(string(m.Data), "other ") {
			t.Errorf("it answered for somebody else: %s", m.Data)
		}
	}
}

// wireOf is a wire as the tests of garbage know it.
func wireOf(o redis.Options) mixedtest.Wire {
	if o.Mode == redis.Sharded {
		return mixedtest.Sharded
	}
	return mixedtest.Classic
}

// victim is a cluster that gets what makes no sense.
func victim(server *redistest.Server, o redis.Options) mixedtest.Victim {
	o.URLs, o.Prefix, o.HeartbeatTimeout = []string{server.URL()}, fmt.Sprint("test", clusters.Add(1)), 2*time.Second
	return mixedtest.Victim{
		Wire: wireOf(o), URL: server.URL(), Prefix: o.Prefix,
		Start: func(tb testing.TB, name string, log *slog.Logger) mixedtest.Target {
			o := o
			o.Name, o.Logger = name, log
			c := node(tb, o)
			return mixedtest.Target{Member: c, Node: c, Ready: c.Ready, Count: func() mixedtest.Counts {
				s := c.Stats()
				return mixedtest.Counts{
					Malformed: s.Drops.Malformed, Late: s.Late, TooMuch: s.Drops.Responses, Lost: s.Drops.Receive + s.Drops.Queue,
				}
			}}
		},
	}
}

// TestGarbage: what makes no sense is counted, told once and ignored, on every
// channel.
func TestGarbage(t *testing.T) {
	server := redistest.Standalone(t)
	for _, o := range wires {
		t.Run(name(o), func(t *testing.T) { mixedtest.RunGarbage(t, victim(server, o)) })
	}
}

// TestHugeResponse: an answer of a million elements costs no more memory than a
// small multiple of its size, and is not kept if that is too much.
func TestHugeResponse(t *testing.T) {
	server := redistest.Standalone(t)
	server.Must("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0")
	for _, o := range wires[:2] { // the others do not differ in answers
		t.Run(name(o), func(t *testing.T) { mixedtest.RunHuge(t, victim(server, o)) })
	}
}

// TestRoomLikeUID: with the sharded wire a room's channel may look like that of
// an adapter. Nobody waits for it.
func TestRoomLikeUID(t *testing.T) {
	server := redistest.Standalone(t)
	w := mixedtest.New(t, mixed("sharded dynamic").among([]string{server.URL()}))
	for _, c := range w.Clients {
		w.Join("0123456789abcdef", c)
	}
	w.Join("fedcba9876543210", w.Clients[1])
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		got, err := w.Fetch(ctx)
		cancel()
		if err != nil || len(got) != 4 {
			t.Errorf("%v, %v", got, err)
		}
	}
}
