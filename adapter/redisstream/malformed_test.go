package redisstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/redisstream"
	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/internal/redislink"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// stranger is a peer that answers every question about sockets with the same
// member "sockets".
func stranger(t *testing.T, url, uid, sockets string) {
	t.Helper()
	var l *redislink.Link
	ready := make(chan struct{})
	l, err := redislink.Open(patient(t), redislink.Options{URLs: []string{url}, Receive: func(m redislink.Message) {
		<-ready
		q, err := nodewire.DecodeEnvelope(m.Data)
		if err != nil || q.Type != nodewire.FetchSockets {
			return
		}
		answer := fmt.Sprintf(`{"type":8,"data":{"requestId":%q,"sockets":%s},"uid":%q,"nsp":"/"}`, q.RequestID, sockets, uid)
		if err := l.Publish("socket.io#/#"+q.UID+"#", []byte(answer)); err != nil {
			t.Error(err)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	close(ready)
	t.Cleanup(func() { l.Close() })
	if err := l.Subscribe(patient(t), "socket.io#/#", "socket.io#/#"+uid+"#"); err != nil {
		t.Fatal(err)
	}
}

// A peer that does not describe its sockets is missing, it does not have none.
func TestSocketsNotDescribed(t *testing.T) {
	const uid = "0123456789abcdef"
	for name, sockets := range map[string]string{
		"ids": "[0" + strings.Repeat(",0", 999_999) + "]", "null": "null", "empty objects": "[{}]",
	} {
		t.Run(name, func(t *testing.T) {
			r := redistest.Standalone(t)
			stranger(t, r.URL(), uid, sockets)
			c := start(t, redisstream.Options{URLs: []string{r.URL()}})
			s := attach(t, c, "/")
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			err := s.a.Request(ctx, &adapter.Message{Kind: adapter.Fetch}, func(adapter.Response) {})
			var partial *adapter.PartialError
			if !errors.As(err, &partial) || !slices.ContainsFunc(partial.Missing, func(name string) bool { return strings.Contains(name, uid) }) {
				t.Errorf("got %v", err)
			}
			if n := c.Stats().Malformed; n != 1 {
				t.Errorf("counted %d", n)
			}
		})
	}
}
