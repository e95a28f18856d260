package queue_test

import (
	"context"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/internal/redistest"
	"github.com/socketeer-io/socketeer/queue"
)

// TestURLs: every kind of Redis that the adapters can use.
func TestURLs(t *testing.T) {
	unix := redistest.Standalone(t, redistest.Options{Unix: true, Password: "pw"})
	secure := redistest.Standalone(t, redistest.Options{TLS: true})
	guarded := redistest.Sentinel(t)
	cluster := redistest.Cluster(t, 0)
	for name, o := range map[string]queue.Options{
		"a socket":  {URL: unix.UnixURL()},
		"TLS":       {URL: secure.URL(), TLS: secure.TLS()},
		"sentinels": {URL: guarded.URL()},
		"a cluster": {URL: "redis://" + strings.ReplaceAll(strings.Join(cluster.URLs(), ","), "redis://", "")},
	} {
		t.Run(name, func(t *testing.T) {
			q := open(t, o.URL, o)
			got := newNotes()
			for _, name := range []string{"a", "b", "c"} { // on different masters
				consume(t, q, name, "g", func(_ context.Context, j *queue.Job) error {
					got.add(string(j.Args()))
					return nil
				}, queue.ConsumeOptions{})
				if _, err := q.Publish(t.Context(), name, "e", name); err != nil {
					t.Fatal(err)
				}
			}
			got.wait(t, func(seen []string) bool { return len(seen) == 3 })
		})
	}
	for url, want := range map[string]string{
		"http://127.0.0.1":                      "unknown scheme",
		"redis://127.0.0.1:1":                   "is it running",
		"redis://:wrong@" + unix.Addr():         "password",
		"redis-sentinel://127.0.0.1:1/mymaster": "is it running",
	} {
		_, err := queue.New(t.Context(), queue.Options{URL: url})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "wrong@") {
			t.Errorf("%s: got %v", url, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := queue.New(ctx, queue.Options{URL: secure.URL()}); err == nil {
		t.Error("connected after the end of the context")
	}
}
