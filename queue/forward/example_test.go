package forward_test

import (
	"context"
	"log"
	"net/http"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/queue"
	"github.com/socketeer-io/socketeer/queue/forward"
)

// Jobs come from clients, by the names of their events, and from the
// application itself.
func Example() {
	ctx := context.Background()
	io, err := socketeer.NewServer()
	if err != nil {
		log.Fatal(err)
	}
	defer io.Close()
	q, err := queue.New(ctx, queue.Options{URL: "redis://127.0.0.1:6379"})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()

	// What clients send: socket.emit("order:new", {...}, ({id, error}) => ...).
	forward.Events(io.Of("/shop"), q, "orders", "order:new", "order:cancel")

	// What the application has to do.
	io.OnConnect(func(ctx context.Context, s *socketeer.Socket) error {
		_, err := q.Publish(ctx, "mails", "welcome", s.ID())
		return err
	})
	http.Handle("/socket.io/", io)
	log.Print(http.ListenAndServe("127.0.0.1:3000", nil))
}
