package queue_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/socketeer-io/socketeer/queue"
)

// metrics tells Prometheus, or whoever asks, how far the workers of a group are
// behind.
func metrics(q *queue.Queue, name, group string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := q.Stats(r.Context(), name, group)
		if err != nil {
			http.Error(w, "Redis does not answer", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, "queue_lag{queue=%q,group=%q} %d\n", name, group, s.Lag)
		fmt.Fprintf(w, "queue_pending{queue=%q,group=%q} %d\n", name, group, s.Pending)
		fmt.Fprintf(w, "queue_oldest_seconds{queue=%q,group=%q} %g\n", name, group, s.Oldest.Seconds())
		fmt.Fprintf(w, "queue_dead{queue=%q} %d\n", name, s.Dead)
	})
}

// The lag of a queue as a metric, which any process that reaches Redis can
// serve.
func ExampleQueue_Stats() {
	q, err := queue.New(context.Background(), queue.Options{URL: "redis://127.0.0.1:6379"})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	http.Handle("GET /metrics", metrics(q, "mails", "mailers"))
	log.Fatal(http.ListenAndServe("127.0.0.1:9100", nil))
}
