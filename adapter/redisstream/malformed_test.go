package redisstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/redisstream"
	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/internal/redislink"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// sayings is a log.
type sayings struct {
	mu sync.Mutex
	b  []byte
}

func (s *sayings) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b = append(s.b, b...)
	return len(b), nil
}

func (s *sayings) count(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Count(s.b, []byte(text))
}

// What nobody can understand is counted wherever it comes, and logged once.
func TestMalformed(t *testing.T) {
	r := redistest.Standalone(t)
	for channel, come := range map[string]func(){
		"announcement": func() { r.Must("PUBLISH", "socket.io-socketeer-members", "?") },
		"request":      func() { r.Must("PUBLISH", "socket.io#/#", "?") },
		"entry":        func() { r.Must("XADD", "socket.io", "*", "uid", "u", "nsp", "/", "type", "3", "data", "?") },
	} {
		t.Run(channel, func(t *testing.T) {
			said := new(sayings)
			c := start(t, redisstream.Options{URLs: []string{r.URL()}, Logger: slog.New(slog.NewTextHandler(said, nil))})
			attach(t, c, "/")
			for i := range 3 {
				come()
				eventually(t, "it to be counted", func() bool { return c.Stats().Malformed == uint64(i+1) })
			}
			if n := said.count("is malformed and ignored"); n != 1 {
				t.Errorf("logged %d times", n)
			}
		})
	}
}

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
