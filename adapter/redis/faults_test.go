package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/mixedtest"
	"github.com/socketeer-io/socketeer/adapter/redis"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// short is how long a request may take whose peer does not answer.
func short(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
	tb.Cleanup(cancel)
	return ctx
}

// TestFrozenNode: a Node.js server that is stopped, and then killed, costs those
// who ask it their patience, and no more than that.
func TestFrozenNode(t *testing.T) {
	server := redistest.Standalone(t)
	for _, m := range []mixture{mixed("classic"), mixed("sharded dynamic")} {
		t.Run(m.name, func(t *testing.T) {
			w := mixedtest.New(t, m.among([]string{server.URL()}))
			uids := w.UIDs()
			missing := []string{"node.js peer " + uids[1]}
			if m.options.Mode == redis.Classic { // they do not say who they are
				slices.Sort(uids)
				missing = []string{"1 of node.js peers " + strings.Join(uids, ", ")}
			}
			w.Node[1].Pause()
			frozenAnswers(t, w, missing)

			began := time.Now()
			w.Node[1].Kill()
			if got, err := w.Fetch(patient(t)); err != nil || len(got) != 3 {
				t.Errorf("after it died: %v, %v", got, err)
			}
			if d := time.Since(began); d > patience/4 {
				t.Errorf("took %v", d)
			}
		})
	}
}

// frozenAnswers makes every kind of request.
func frozenAnswers(t *testing.T, w *mixedtest.World, missing []string) {
	t.Helper()
	check := func(what string, err error) {
		t.Helper()
		var partial *adapter.PartialError
		var acks *socketeer.AckError
		var got []string
		switch {
		case errors.As(err, &partial):
			got = partial.Missing
		case errors.As(err, &acks):
			got = acks.Missing
		}
		if !slices.Equal(got, missing) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want missing %q", what, err, missing)
		}
	}
	io := w.Go[0].IO
	got, err := w.Fetch(short(t))
	if check("fetch", err); len(got) != 3 {
		t.Errorf("fetched %v", got)
	}
	replies, err := io.All().EmitWithAck(short(t), "frozen?")
	if check("acks", err); len(replies) != 3 {
		t.Errorf("%d acks", len(replies))
	}
	replies, err = io.ServerSideEmitWithAck(short(t), "ask")
	if check("server side", err); len(replies) != 2 {
		t.Errorf("%d replies", len(replies))
	}
	check("join", io.All().Join(short(t), "room"))
}

// TestNodeDiesDuringRequest: the wait ends soon after, and says who is missing.
func TestNodeDiesDuringRequest(t *testing.T) {
	server := redistest.Standalone(t)
	for _, m := range []mixture{mixed("classic"), mixed("sharded dynamic")} {
		t.Run(m.name, func(t *testing.T) {
			w := mixedtest.New(t, m.among([]string{server.URL()}))
			want := []string{"node.js peer " + w.UIDs()[1]}
			w.Node[1].Pause()
			done := make(chan struct{})
			go func() {
				defer close(done)
				// Go peers answer at once: by then the request is on its way.
				_, _ = w.Node[0].Call(patient(t), "ping", nil)
				w.Node[1].Kill()
			}()
			got, err := w.Fetch(patient(t))
			<-done
			var partial *adapter.PartialError
			if err != nil && (!errors.As(err, &partial) || !slices.Equal(partial.Missing, want) || errors.Is(err, context.DeadlineExceeded)) {
				t.Errorf("got %v, want missing %q", err, want)
			}
			t.Log(err)
			if len(got) != 3 {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestRedisAway: nothing blocks, everybody is told, and everything resumes by
// itself, with Node.js servers in the cluster or without.
func TestRedisAway(t *testing.T) {
	for _, c := range []struct {
		name     string
		away     func(*redistest.Server)
		back     func(*redistest.Server)
		requests bool // fail at once
	}{
		{"killed", (*redistest.Server).Kill, (*redistest.Server).Restart, true},
		{"paused", (*redistest.Server).Pause, (*redistest.Server).Resume, false},
	} {
		for _, o := range wires {
			t.Run(c.name+" "+name(o), func(t *testing.T) {
				server := redistest.Standalone(t)
				o.URLs, o.ProbeInterval = []string{server.URL()}, 200*time.Millisecond
				list := nodes(t, o, 2)
				a, b := open(t, list[0], "/"), open(t, list[1], "/")
				must(t, b.Join(patient(t), "r"))
				c.away(server)
				for wait := patient(t); list[0].Ready() == nil; {
					must(t, wait.Err())
					must(t, mixedtest.Moment(wait))
				}
				t.Log("not ready:", list[0].Ready())
				began := time.Now()
				for range 1000 {
					_ = a.Publish(message("r", "lost")) // an error or not, it does not wait
				}
				if d := time.Since(began); d > time.Second {
					t.Errorf("publishing took %v", d)
				}
				err := a.Request(short(t), &adapter.Message{Kind: adapter.Fetch}, func(adapter.Response) {})
				var partial *adapter.PartialError
				if !errors.As(err, &partial) {
					t.Errorf("a request without redis: %v", err)
				}
				c.back(server)
				for _, n := range list {
					for wait := patient(t); n.Ready() != nil; {
						must(t, wait.Err())
						must(t, mixedtest.Moment(wait))
					}
				}
				must(t, b.Join(patient(t), "new"))
				for _, room := range []string{"r", "new"} {
					must(t, a.Publish(message(room, "back in "+room)))
					b.wait(t, "back in "+room)
				}
				must(t, list[0].WaitPeers(patient(t), 1))
				must(t, a.Request(patient(t), &adapter.Message{Kind: adapter.Fetch}, func(adapter.Response) {}))
				s := list[0].Stats()
				if s.Drops.Down+s.Drops.Lost == 0 && c.requests {
					t.Errorf("what was lost is not counted: %+v", s)
				}
			})
		}
	}
}

// TestStart: what is wrong is told at once.
func TestStart(t *testing.T) {
	server := redistest.Standalone(t)
	for _, o := range []redis.Options{
		{},
		{URLs: []string{"http://localhost"}},
		{URLs: []string{"redis://127.0.0.1:1"}},
		{URLs: []string{server.URL()}, Mode: 7},
		{URLs: []string{server.URL()}, Subscription: redis.Static},
		{URLs: []string{server.URL()}, LeaveDelay: -1},
		{URLs: []string{server.URL()}, QueueBytes: 1},
		{URLs: []string{server.URL()}, Name: strings.Repeat("x", 300)},
	} {
		c, err := redis.New(patient(t), o)
		if err == nil || c != nil || !strings.HasPrefix(err.Error(), "socketeer: ") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	c := node(t, redis.Options{URLs: []string{server.URL()}, Prefix: fmt.Sprint("test", clusters.Add(1))})
	must(t, c.Ready())
	if len(c.Members()) != 1 || !c.Members()[0].Self || len(c.Tag()) != 4 {
		t.Errorf("%+v", c.Members())
	}
	must(t, c.Close(t.Context()))
	must(t, c.Close(t.Context()))
	if c.Ready() == nil {
		t.Error("ready after Close")
	}
}
