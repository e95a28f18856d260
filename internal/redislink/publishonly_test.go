package redislink_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/redislink"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// TestPublishOnly: a link without subscriptions publishes, and needs no rights
// to the channel of probes.
func TestPublishOnly(t *testing.T) {
	r := redistest.Standalone(t, redistest.Options{
		Password: "pw", User: "sender", UserPassword: "secret", UserRules: "resetchannels &news +publish",
	})
	listener, heard := open(t, redislink.Options{URLs: []string{"redis://:pw@" + r.Addr()}})
	if err := listener.Subscribe(deadline(t), "news"); err != nil {
		t.Fatal(err)
	}
	l, _ := open(t, redislink.Options{URLs: []string{"redis://sender:secret@" + r.Addr()}, PublishOnly: true})
	if err := l.Publish("news", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message", func() bool { return heard.got("news", "hello") })
	if err := l.Ready(); err != nil {
		t.Error(err)
	}
	for _, err := range []error{l.Subscribe(deadline(t), "news"), l.SSubscribe(deadline(t), "news")} {
		if err == nil || errors.Is(err, redislink.ErrClosed) {
			t.Errorf("subscribed: %v", err)
		}
	}
	eventually(t, "the answer to it", func() bool { return l.Stats().Published == 1 })
	if s := l.Stats(); s.Probes != 0 {
		t.Errorf("%+v", s)
	}
}

// TestPublishOnlyFailover: such a link follows the master, also when nothing
// breaks its connection.
func TestPublishOnlyFailover(t *testing.T) {
	set := redistest.Sentinel(t)
	said := new(sayings)
	l, _ := open(t, redislink.Options{
		URLs: []string{set.URL()}, PublishOnly: true, PublishTimeout: 500 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(said, nil)),
	})
	listener, heard := open(t, redislink.Options{URLs: []string{set.URL()}})
	if err := listener.Subscribe(deadline(t), "news"); err != nil {
		t.Fatal(err)
	}
	set.Master.Pause()
	defer set.Master.Resume()
	eventually(t, "the failover", func() bool { return set.Current() == set.Replica.Addr() })
	eventually(t, "a message after the failover", func() bool {
		_ = l.Publish("news", []byte("again")) // refused while there is no master
		return heard.got("news", "again")
	})
	eventually(t, "readiness", func() bool { return l.Ready() == nil })
	if lost, again := said.count("connection to redis lost"), said.count("connected to redis again"); lost == 0 || lost != again {
		t.Errorf("an outage was told %d times, its end %d times", lost, again)
	}
}

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

// TestDial: a client alone, for commands.
func TestDial(t *testing.T) {
	r := redistest.Standalone(t)
	c, err := redislink.Dial(deadline(t), redislink.Options{URLs: []string{r.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Do(deadline(t), c.B().Set().Key("k").Value("v").Build()).Error(); err != nil {
		t.Error(err)
	}
	if v := r.Must("GET", "k"); v != "v" {
		t.Errorf("got %v", v)
	}
	if _, err := redislink.Dial(deadline(t), redislink.Options{URLs: []string{"redis://127.0.0.1:1"}}); err == nil {
		t.Error("connected to nobody")
	}
	r.Pause()
	defer r.Resume()
	ctx, cancel := context.WithTimeout(deadline(t), 100*time.Millisecond)
	defer cancel()
	if _, err := redislink.Dial(ctx, redislink.Options{URLs: []string{r.URL()}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
