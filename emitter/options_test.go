package emitter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/emitter"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// buffer is a log that may be read at any time.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// contextWithCause returns a context that ends with a cause.
func contextWithCause(t *testing.T, cause string) (ctx context.Context, cancel func()) {
	ctx, end := context.WithCancelCause(t.Context())
	return ctx, func() { end(errors.New(cause)) }
}

// TestURLs: every kind of Redis that the adapters can use.
func TestURLs(t *testing.T) {
	unix := redistest.Standalone(t, redistest.Options{Unix: true, Password: "pw"})
	secure := redistest.Standalone(t, redistest.Options{TLS: true})
	guarded := redistest.Sentinel(t)
	cluster := redistest.Cluster(t, 0)
	for name, tt := range map[string]struct {
		options emitter.Options
		server  *redistest.Server
	}{
		"a socket":   {emitter.Options{URLs: []string{unix.UnixURL()}}, unix},
		"TLS":        {emitter.Options{URLs: []string{secure.URL()}, TLS: secure.TLS()}, secure},
		"sentinels":  {emitter.Options{URLs: []string{guarded.URL()}}, guarded.Master},
		"a cluster":  {emitter.Options{URLs: cluster.URLs()}, nil},
		"one of one": {emitter.Options{URLs: cluster.URLs()[:1]}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := tt.options
			o.Mode, o.Prefix = emitter.Streams, "of "+name
			e := open(t, o)
			must(t, e.Emit("e"))
			must(t, e.Flush(patient(t)))
			if s := e.Stats(); s.Sent != 1 {
				t.Errorf("%+v", s)
			}
			if tt.server != nil {
				if n := tt.server.Must("XLEN", o.Prefix).(int64); n != 1 {
					t.Errorf("%d entries", n)
				}
			}
		})
	}
}

func TestOptions(t *testing.T) {
	url := []string{"redis://127.0.0.1:1"}
	for want, o := range map[string]emitter.Options{
		"no URL":                       {},
		"mode(3)":                      {URLs: url, Mode: 3},
		"subscription(3)":              {URLs: url, Mode: emitter.Sharded, Subscription: 3},
		"static needs":                 {URLs: url, Subscription: emitter.Static},
		"is classic":                   {URLs: url, MaxLen: 5},
		"is sharded":                   {URLs: url, Mode: emitter.Sharded, StreamCount: 2},
		"it is streams":                {URLs: url, Mode: emitter.Streams, Parser: json.Marshal},
		"-1 streams":                   {URLs: url, Mode: emitter.Streams, StreamCount: -1},
		"1025 streams":                 {URLs: url, Mode: emitter.Streams, StreamCount: 1025},
		"timeout of -1s":               {URLs: url, PublishTimeout: -time.Second},
		"backlog of 1 bytes":           {URLs: url, BacklogBytes: 1},
		"is it running":                {URLs: url},
		"unknown scheme":               {URLs: []string{"http://127.0.0.1"}},
		"differ in more than the host": {URLs: []string{"redis://a", "rediss://b"}},
	} {
		_, err := emitter.New(patient(t), o)
		if err == nil || !strings.HasPrefix(err.Error(), "socketeer: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if got := fmt.Sprint(emitter.Classic, emitter.Streams, emitter.Dynamic, emitter.DynamicPrivate); got != "classic streams dynamic dynamic-private" {
		t.Error(got)
	}
}

// TestRefused: what cannot be sent is an error at once.
func TestRefused(t *testing.T) {
	r := redistest.Standalone(t)
	e := open(t, emitter.Options{URLs: []string{r.URL()}})
	for name, tt := range map[string]struct {
		err  error
		want error
	}{
		"reserved":             {e.To("r").Emit("disconnect"), emitter.ErrReserved},
		"reserved server side": {e.ServerSideEmit("connection"), emitter.ErrReserved},
		"ack":                  {e.Emit("e", 1, func(string) {}), emitter.ErrAck},
		"ack server side":      {e.ServerSideEmit("e", func() {}), emitter.ErrAck},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: got %v", name, tt.err)
		}
	}
	if err := e.Emit("e", make(chan int)); err == nil || !strings.Contains(err.Error(), `event "e"`) {
		t.Errorf("got %v", err)
	}
	if s := e.Stats(); s != (emitter.Stats{}) {
		t.Errorf("%+v", s)
	}
}
