package bench_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/client"
	"github.com/socketeer-io/socketeer/internal/app/bench"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEvents(t *testing.T) {
	io, err := socketeer.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	bench.Mount(io)
	server := httptest.NewServer(io)
	t.Cleanup(func() {
		if err := io.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	said := make(chan string, 4)
	connect := func() *client.Client {
		c, err := client.New(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		client.Handle(c.Socket, "msg", func(_ context.Context, data json.RawMessage) error {
			said <- string(data)
			return nil
		})
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		return c
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	a, b := connect(), connect()
	connect() // in no room: hears nothing
	for _, c := range []*client.Client{a, b} {
		if _, err := c.EmitWithAck(ctx, "join", "r"); err != nil {
			t.Fatal(err)
		}
	}
	const data = `{"b":1.50,"a":[ ]}` // passed on as it is, not decoded
	echo, err := client.Call[json.RawMessage](ctx, a.Socket, "echo", json.RawMessage(data))
	if err != nil || string(echo) != `{"b":1.50,"a":[]}` && string(echo) != data {
		t.Errorf("got %s, %v", echo, err)
	}
	if err := a.Emit("say", "r", json.RawMessage(data)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		select {
		case got := <-said:
			if got != string(echo) {
				t.Errorf("got %s", got)
			}
		case <-ctx.Done():
			t.Fatal("not everyone in the room was told")
		}
	}
	if len(said) > 0 {
		t.Error("somebody outside of the room was told")
	}
}
