package queue_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/internal/redistest"
	"github.com/socketeer-io/socketeer/queue"
)

// TestJavaScriptWorker runs the program in docs/queues.md.
func TestJavaScriptWorker(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{})
	done := newNotes()
	runWorker(t, s.URL(), func(line []byte) {
		var job struct {
			Event, User string
			Args        []json.RawMessage
		}
		if err := json.Unmarshal(line, &job); err != nil {
			t.Errorf("got %q", line)
			return
		}
		done.add(fmt.Sprintf("js %s %s", job.Event, job.Args))
	})
	if _, err := q.Publish(t.Context(), "mails", "first", "ü", []byte{1, 2}); err != nil {
		t.Fatal(err)
	}
	// JSON of a Node.js Buffer: it was decoded.
	if seen := done.waitLen(t, 1); seen[0] != `js first ["ü" {"type":"Buffer","data":[1,2]}]` {
		t.Errorf("got %s", seen)
	}
	stop := consume(t, q, "mails", "mailers", func(_ context.Context, j *queue.Job) error {
		done.add("go " + string(j.Args()))
		return nil
	}, queue.ConsumeOptions{})
	const count = 200
	for i := range count {
		if _, err := q.Publish(t.Context(), "mails", "welcome", i); err != nil {
			t.Fatal(err)
		}
	}
	seen := done.waitLen(t, 1+count)
	if len(seen) != 1+count || distinct(seen) != 1+count {
		t.Errorf("%d handled, %d of them different; want %d", len(seen), distinct(seen), 1+count)
	}
	eventually(t, "everything done", func() bool {
		st, err := q.Stats(t.Context(), "mails", "mailers")
		return err == nil && st.Pending == 0 && st.Lag == 0
	})
	stop()
	s.Must("XADD", "socketeer:queue:{mails}", "*", "event", "by hand", "args", `["x"]`)
	done.waitLen(t, 2+count)
}

// runWorker runs the program until the test ends.
func runWorker(t *testing.T, url string, line func([]byte)) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("Node.js is not installed")
	}
	modules, err := filepath.Abs("../test/redis/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(modules); err != nil {
		t.Skip("test/redis/node_modules is missing: run npm ci there")
	}
	doc, err := os.ReadFile("../docs/queues.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "<!-- worker.js: run by TestJavaScriptWorker -->\n```js\n")
	program, _, ok := strings.Cut(text, "\n```")
	if !ok {
		t.Fatal("the program is not in docs/queues.md any more")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, node, "-e", program)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules, "REDIS_URL="+url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			line(s.Bytes())
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-read
		cmd.Wait()
	})
}
