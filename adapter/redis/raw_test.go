package redis_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/mixedtest"
	"github.com/socketeer-io/socketeer/adapter/redis"
	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/internal/redislink"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// raw is somebody on Redis who writes and reads bytes.
type raw struct {
	*redislink.Link
	t       *testing.T
	mu      sync.Mutex
	got     []redislink.Message
	changed chan struct{}
}

func newRaw(t *testing.T, url string) *raw {
	t.Helper()
	r := &raw{t: t, changed: make(chan struct{})}
	link, err := redislink.Open(patient(t), redislink.Options{URLs: []string{url}, Receive: func(m redislink.Message) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, m)
		close(r.changed)
		r.changed = make(chan struct{})
	}})
	must(t, err)
	t.Cleanup(func() { link.Close() })
	r.Link = link
	return r
}

// until returns the first message that fits.
func (r *raw) until(fits func(redislink.Message) bool) redislink.Message {
	r.t.Helper()
	for ctx := patient(r.t); ; {
		r.mu.Lock()
		i, changed := slices.IndexFunc(r.got, fits), r.changed
		var m redislink.Message
		if i >= 0 {
			m = r.got[i]
		}
		r.mu.Unlock()
		if i >= 0 {
			return m
		}
		select {
		case <-changed:
		case <-ctx.Done():
			r.t.Fatal("nothing that fits was published")
		}
	}
}

func (r *raw) containing(text string) string {
	r.t.Helper()
	return string(r.until(func(m redislink.Message) bool { return strings.Contains(string(m.Data), text) }).Data)
}

// TestOldNode: requests that Node.js 8.x does not send, and forms that only old
// adapters and emitters use.
func TestOldNode(t *testing.T) {
	server := redistest.Standalone(t)
	prefix := fmt.Sprint("test", clusters.Add(1))
	c := node(t, redis.Options{URLs: []string{server.URL()}, Prefix: prefix})
	s, r := open(t, c, "/"), newRaw(t, server.URL())
	must(t, r.Subscribe(patient(t), prefix+"-response#/#"))
	ask := func(request string) {
		t.Helper()
		must(t, r.Publish(prefix+"-request#/#", []byte(request)))
	}
	ask(`{"uid":"abcdef","requestId":"q0","type":0,"rooms":[]}`)
	if got := r.containing(`"q0"`); !strings.Contains(got, `"sockets":["`+s.sid+`"]`) {
		t.Errorf("got %s", got)
	}
	ask(`{"uid":"abcdef","requestId":"q1","type":1}`)
	if got := r.containing(`"q1"`); !strings.Contains(got, `"rooms":["`+s.sid+`","r"]`) {
		t.Errorf("got %s", got)
	}
	for i, request := range []string{
		`"type":2,"sid":"%s","room":"a room"`, `"type":3,"sid":"%s","room":"a room"`, `"type":4,"sid":"%s","close":true`,
	} {
		request = fmt.Sprintf(request, s.sid)
		ask(fmt.Sprintf(`{"requestId":"legacy %d",%s}`, i, request))
		if got := r.containing(fmt.Sprintf("legacy %d", i)); !strings.HasPrefix(got, fmt.Sprintf(`{"requestId":"legacy %d"`, i)) {
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
	r.containing(`"q9"`)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.got {
		if strings.Contains(string(m.Data), "other ") {
			t.Errorf("it answered for somebody else: %s", m.Data)
		}
	}
}

// garbage is what channels may carry besides.
func garbage() (list [][]byte) {
	for _, s := range []string{
		"", "{", "{}", "[]", "null", "nonsense", "\x00", "\xff\xff\xff", "\x93", "\x93\xa1x\x80\x80", "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff",
		`{"type":3}`, `{"type":"3","uid":5,"nsp":[]}`, `{"type":3,"data":{"packet":{"type":2,"data":"x"},"opts":{}},"uid":"a","nsp":"/"}`,
		`{"type":3,"data":{"packet":null,"opts":null},"uid":"a","nsp":"/"}`, `{"type":250,"uid":"a","nsp":"/"}`, `{"type":7,"uid":"a","nsp":"/","data":{}}`,
		`{"uid":"a","type":99}`, `{"uid":"a","requestId":"x","type":5,"opts":5}`, `{"uid":"a","type":2,"rooms":["everybody?"]}`,
		`{"uid":"a","type":4,"close":true}`, `{"requestId":1}`, `{"requestId":"none","sockets":[1,{},null]}`,
		strings.Repeat("[", 100000), strings.Repeat(`{"a":`, 100000),
	} {
		list = append(list, []byte(s))
	}
	valid, err := nodewire.AppendClassicBroadcast(nil, &nodewire.Message{UID: "a", NSP: "/", Type: nodewire.Broadcast, Data: []byte(`["e",[1,{"a":"b"}]]`)})
	if err != nil {
		panic(err)
	}
	for i := range valid {
		list = append(list, valid[:i])
	}
	return list
}

// TestGarbage: what makes no sense is counted and ignored, on every channel.
func TestGarbage(t *testing.T) {
	server := redistest.Standalone(t)
	for _, o := range wires[:2] {
		t.Run(name(o), func(t *testing.T) {
			o.URLs = []string{server.URL()}
			list := nodes(t, o, 2)
			a, b := open(t, list[0], "/"), open(t, list[1], "/")
			must(t, b.Join(patient(t), "r"))
			r := newRaw(t, server.URL())
			prefix, publish := channelsOf(t, r, o.Mode)
			for _, channel := range prefix {
				for _, g := range garbage() {
					must(t, publish(channel, g))
				}
			}
			b.mu.Lock()
			for _, m := range b.handled {
				if m.Kind != adapter.Broadcast {
					t.Errorf("it handled %+v", m)
				}
			}
			b.mu.Unlock()
			// The last in each lane: r's messages and those to all.
			must(t, a.Publish(message("r", "still here")))
			b.wait(t, "still here")
			must(t, a.Request(patient(t), &adapter.Message{Kind: adapter.Fetch}, func(adapter.Response) {}))
			for wait := patient(t); list[1].Stats().Drops.Malformed < 10; {
				must(t, pause(wait))
			}
			must(t, list[1].Ready())
		})
	}
}

// channelsOf returns the channels that the nodes subscribe to, and how to
// publish to them.
func channelsOf(t *testing.T, r *raw, m redis.Mode) ([]string, func(string, []byte) error) {
	t.Helper()
	current := fmt.Sprint("test", clusters.Load())
	names, err := r.Channels(patient(t), current+"[-#]*")
	must(t, err)
	shard, err := r.ShardChannels(patient(t), current+"[-#]*")
	must(t, err)
	if len(names)+len(shard) < 4 {
		t.Fatalf("channels %q %q", names, shard)
	}
	return append(names, shard...), func(channel string, b []byte) error {
		if slices.Contains(shard, channel) {
			return r.SPublish(channel, b)
		}
		return r.Publish(channel, b)
	}
}

// TestHugeResponse: an answer of a million elements costs no more memory than a
// small multiple of its size, and is not kept if that is too much.
func TestHugeResponse(t *testing.T) {
	server := redistest.Standalone(t)
	server.Must("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0")
	c := nodes(t, redis.Options{URLs: []string{server.URL()}}, 1)[0]
	a := open(t, c, "/")
	r := newRaw(t, server.URL())
	prefix := fmt.Sprint("test", clusters.Load())
	// A peer that listens and whose answers come from here.
	must(t, r.Subscribe(patient(t), prefix+"-request#/#", prefix+"-response#/#abcdef#"))
	for _, entry := range []string{`{"id":"","rooms":[],"data":{},"handshake":{}}`, `{"id":"x"}`, `[]`, `0`, `"x"`} {
		ctx, cancel := context.WithCancel(patient(t))
		var sockets int
		result := make(chan error, 1)
		go func() {
			result <- a.Request(ctx, &adapter.Message{Kind: adapter.Fetch}, func(r adapter.Response) { sockets += len(r.Sockets) })
		}()
		request := r.until(func(m redislink.Message) bool { return bytes.Contains(m.Data, []byte(`"type":5`)) })
		r.mu.Lock()
		r.got = nil
		r.mu.Unlock()
		var q struct{ RequestID string }
		must(t, json.Unmarshal(request.Data, &q))
		body := `{"requestId":"` + q.RequestID + `","sockets":[` + strings.TrimSuffix(strings.Repeat(entry+",", 1_000_000), ",") + `]}`
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		bad := c.Stats()
		must(t, r.Publish(prefix+"-response#/#", []byte(body)))
		for wait := patient(t); len(result) == 0 && c.Stats().Drops.Malformed == bad.Drops.Malformed && c.Stats().Late == bad.Late; {
			must(t, pause(wait))
		}
		runtime.ReadMemStats(&after)
		cancel()
		err := <-result
		t.Logf("%s: %d bytes, heap grew by %d, %d sockets, %v", entry, len(body), int(after.HeapAlloc)-int(before.HeapAlloc), sockets, err)
		if grown := int(after.HeapAlloc) - int(before.HeapAlloc); grown > 20*len(body)+64<<20 {
			t.Errorf("%d bytes grew the heap by %d", len(body), grown)
		}
		if sockets == 0 && err == nil {
			t.Error("what was dropped is not told")
		}
	}
	if s := c.Stats(); s.Drops.Responses == 0 || s.Drops.Malformed == 0 || s.Drops.Receive != 0 {
		t.Errorf("%+v", s)
	}
	must(t, c.Ready())
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
