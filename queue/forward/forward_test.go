package forward_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/client"
	"github.com/socketeer-io/socketeer/internal/redistest"
	"github.com/socketeer-io/socketeer/queue"
	"github.com/socketeer-io/socketeer/queue/forward"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEvents(t *testing.T) {
	redis := redistest.Standalone(t)
	q, err := queue.New(t.Context(), queue.Options{URL: redis.URL(), MaxLen: 2, MaxPayload: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	io, err := socketeer.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	shop := io.Of("/shop")
	shop.UseConnect(func(next socketeer.ConnectFunc) socketeer.ConnectFunc {
		return func(ctx context.Context, s *socketeer.Socket) error {
			if err := s.SetUser(ctx, "ann"); err != nil {
				return err
			}
			return next(ctx, s)
		}
	})
	off := forward.Events(shop, q, "orders", "order:new", "order:cancel")
	defer off()
	server := httptest.NewServer(io)
	defer server.Close()
	defer io.Close()

	c, err := client.Dial(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := c.Of("/shop")
	if err := s.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	order := "order:new"
	stored, err := client.Call[forward.Stored](t.Context(), s, order, map[string]any{"item": "tea", "picture": []byte{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	cancelled, err := s.EmitWithAck(t.Context(), "order:cancel")
	if err != nil {
		t.Fatal(err)
	}
	var two forward.Stored
	if err := cancelled.Decode(&two); err != nil || two.ID == "" {
		t.Errorf("got %+v, %v", two, err)
	}
	var full, large *client.Error
	if _, err := client.Call[forward.Stored](t.Context(), s, order, "tea"); !errors.As(err, &full) || full.Code != "queue_full" {
		t.Errorf("got %v", err)
	}
	if _, err := client.Call[forward.Stored](t.Context(), s, order, make([]byte, 2000)); !errors.As(err, &large) || large.Code != "too_large" {
		t.Errorf("got %v", err)
	}

	jobs := make(chan *queue.Job, 2)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- q.Consume(ctx, "orders", "w", func(_ context.Context, j *queue.Job) error { jobs <- j; return nil }, queue.ConsumeOptions{})
	}()
	j := <-jobs
	var v struct {
		Item    string
		Picture []byte
	}
	if err := j.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if v.Item != "tea" || string(v.Picture) != "\x01\x02" || j.ID != stored.ID || j.Event != "order:new" ||
		j.User != "ann" || j.Namespace != "/shop" || j.SID != s.ID() {
		t.Errorf("got %+v %+v", j, v)
	}
	if j := <-jobs; j.Event != "order:cancel" || string(j.Args()) != "[]" || j.ID != two.ID {
		t.Errorf("got %+v", j)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
