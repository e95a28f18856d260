package queue_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/internal/redistest"
	"github.com/socketeer-io/socketeer/queue"
)

// asWorker makes the test binary be a worker of the Redis at the address that
// it holds, called asName.
const asWorker, asName = "QUEUE_TEST_WORKER", "QUEUE_TEST_NAME"

// lease is that of worker processes.
const lease = 2 * time.Second

// work is the life of a worker process. It says which jobs it has done.
func work(addr, name string) error {
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, ClientName: name, DisableCache: true})
	if err != nil {
		return err
	}
	q, err := queue.New(context.Background(), queue.Options{Client: c})
	if err != nil {
		return err
	}
	return q.Consume(context.Background(), "w", "g", func(_ context.Context, j *queue.Job) error {
		n, err := number(j)
		if err != nil {
			return err
		}
		<-time.After(2 * time.Millisecond) // the work
		fmt.Println("done", n)
		return nil
	}, queue.ConsumeOptions{Name: name, Concurrency: 4, MinIdle: lease})
}

// workerProcess is a worker that can be killed.
type workerProcess struct {
	*exec.Cmd
	name string
	done chan struct{}
	mu   sync.Mutex
	own  map[int]bool // what it has done
}

func startWorker(t *testing.T, s *redistest.Server, name string, all tally) *workerProcess {
	t.Helper()
	w := &workerProcess{Cmd: exec.Command(os.Args[0]), name: name, done: make(chan struct{}), own: make(map[int]bool)}
	w.Env = append(os.Environ(), asWorker+"="+s.Addr(), asName+"="+name)
	w.Stderr = os.Stderr
	out, err := w.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(w.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var n int
			if _, err := fmt.Sscanf(lines.Text(), "done %d", &n); err == nil {
				w.mu.Lock()
				w.own[n] = true
				w.mu.Unlock()
				all.done(n)
			}
		}
		_ = w.Wait() // its end is the test's doing
	}()
	t.Cleanup(w.kill)
	return w
}

// kill ends the process as a crash does, and waits until it is gone.
func (w *workerProcess) kill() {
	_ = w.Process.Kill() // it may be gone
	<-w.done
}

func (w *workerProcess) did() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.own)
}

// TestKilledWorker kills worker processes at work, one after the other. What
// they had in hand the others do; what they had acknowledged nobody does again.
func TestKilledWorker(t *testing.T) {
	s := redistest.Standalone(t)
	q := open(t, s.URL(), queue.Options{})
	got := tally{newNotes()}
	const count, kills = 3000, 3
	workers := []*workerProcess{startWorker(t, s, "worker-0", got), startWorker(t, s, "worker-1", got)}
	published := make(chan struct{})
	go func() {
		defer close(published)
		for i := range count {
			if _, err := q.Publish(context.Background(), "w", "job", i); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	inHand := make(map[int]bool) // of the dead
	for i := range kills {
		doomed := workers[i]
		eventually(t, "a worker at work", func() bool { return doomed.did() >= 50 })
		doomed.kill()
		workers = append(workers, startWorker(t, s, "worker-"+strconv.Itoa(i+2), got))
		left := unacknowledged(t, s, doomed.name)
		t.Logf("%s did %d, and had %d in hand", doomed.name, doomed.did(), len(left))
		for n := range left {
			inHand[n] = true
		}
	}
	<-published
	got.wait(t, func([]string) bool { return len(got.times()) == count })
	settles(t, q, lease)
	got.check(t, count, func(n int) bool { return inHand[n] })
	eventually(t, "an empty stream", func() bool { return s.Must("XLEN", fullKey) == int64(0) })
}

// unacknowledged returns the numbers of jobs that a dead worker had in hand, as
// Redis sees it when it has read all that the worker had sent. It is asked
// before their leases end.
func unacknowledged(t *testing.T, s *redistest.Server, name string) map[int]bool {
	t.Helper()
	eventually(t, "the connections of "+name+" to be gone", func() bool {
		return !strings.Contains(s.Must("CLIENT", "LIST").(string), " name="+name+" ")
	})
	numbers := make(map[int]bool)
	for _, p := range s.Must("XPENDING", fullKey, "g", "-", "+", "1000", name).([]any) {
		id := fmt.Sprint(p.([]any)[0])
		for _, e := range s.Must("XRANGE", fullKey, id, id).([]any) {
			fields := e.([]any)[1].([]any)
			for i := 0; i+1 < len(fields); i += 2 {
				if fields[i] == "args" {
					n, err := strconv.Atoi(strings.Trim(fmt.Sprint(fields[i+1]), "[]"))
					if err != nil {
						t.Fatal(err)
					}
					numbers[n] = true
				}
			}
		}
	}
	return numbers
}
