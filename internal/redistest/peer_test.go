package redistest_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/redistest"
)

type args = map[string]any

// TestPeers: two servers of each kind are one cluster.
func TestPeers(t *testing.T) {
	single := redistest.Standalone(t).URL()
	cluster := redistest.Cluster(t, 0).URLs()
	for _, c := range []struct {
		adapter string
		urls    []string
	}{
		{"redis", []string{single}},
		{"redis-ioredis", []string{single}},
		{"redis-sharded", []string{single}},
		{"redis-sharded", cluster},
		{"redis-streams", []string{single}},
		{"redis-streams-ioredis", []string{single}},
	} {
		name := c.adapter
		if len(c.urls) > 1 {
			name += "-cluster"
		}
		t.Run(name, func(t *testing.T) { peers(t, c.adapter, c.urls) })
	}
}

func peers(t *testing.T, adapter string, urls []string) {
	o := redistest.NodeOptions{
		Adapter: adapter, URLs: urls, AdapterOptions: map[string]any{"key": t.Name(), "channelPrefix": t.Name(), "streamName": t.Name()},
		ServerSideAnswer: []any{"answer"},
	}
	a, b := redistest.Node(t, o), redistest.Node(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	id := b.Connect(args{"ack": []any{"yes", args{"$binary": "AQI="}}})
	for string(a.Must("serverCount", nil)) != "2" { // heartbeats may still be on their way
		if ctx.Err() != nil {
			t.Fatal("the servers do not find each other")
		}
	}
	for !strings.Contains(string(a.Must("fetchSockets", args{})), id) {
		if ctx.Err() != nil {
			t.Fatal("the socket is not found")
		}
	}
	a.Must("socketsJoin", args{"rooms": []string{id}, "join": []string{"room"}})
	acks := a.Must("emitWithAck", args{"rooms": []string{id}, "event": "question", "args": []any{1, nil, args{"$date": 0}, args{"$binary": "AQI="}}})
	if string(acks) != `["yes"]` {
		t.Errorf("acks %s", acks)
	}
	h, err := b.Wait(ctx, func(h redistest.Happening) bool { return h.Event == "question" })
	if err != nil {
		t.Fatal(err)
	}
	if h.Client != id || len(h.Args) != 4 || string(h.Args[3]) != `{"$binary":"AQI="}` {
		t.Errorf("%+v", h)
	}
	answers := a.Must("serverSideEmitWithAck", args{"event": "ask", "args": []any{"x"}})
	if string(answers) != `["answer"]` {
		t.Errorf("answers %s", answers)
	}
	if _, err := b.Wait(ctx, func(h redistest.Happening) bool { return h.Happened == "serverSide" && h.Event == "ask" }); err != nil {
		t.Error(err)
	}
	a.Must("disconnectSockets", args{"rooms": []string{"room"}, "close": true})
	if _, err := b.Wait(ctx, func(h redistest.Happening) bool { return h.Happened == "disconnected" && h.Client == id }); err != nil {
		t.Error(err)
	}
	var fault *redistest.PeerError
	if _, err := a.Call(ctx, "nothing", nil); !errors.As(err, &fault) || !strings.Contains(fault.Text, "no operation") {
		t.Errorf("%v", err)
	}
	if !json.Valid(a.Must("localSockets", nil)) {
		t.Error("no list")
	}
	b.Stop()
	if _, err := b.Call(ctx, "ping", nil); err == nil {
		t.Error("it lives")
	}
}
