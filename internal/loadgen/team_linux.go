package loadgen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"github.com/socketeer-io/socketeer/internal/process"
)

const (
	// replyTimeout is how long a process may take to say what it has counted,
	// before it is given up.
	replyTimeout = 30 * time.Second
	// leaveTimeout is how long a process may take to cut its connections.
	leaveTimeout = 3 * time.Second
)

// team is the processes that share a run's connections.
type team struct {
	spawner *process.Spawner
	members []*member

	mu  sync.Mutex
	err error
}

// member is one of them, seen from the process that conducts.
type member struct {
	cmd      *exec.Cmd
	stdin    io.WriteCloser
	output   *process.Tail
	ready    chan struct{}
	finished chan error
	counted  chan *counts
	gone     chan struct{} // closed when it has ended
	failure  error         // set before gone is closed

	asking sync.Mutex // one question at a time
	mu     sync.Mutex // guards enc
	enc    *json.Encoder
	last   counts // guarded by asking
}

// newTeam starts a process for each share, and waits until all have theirs.
func newTeam(ctx context.Context, command []string, parts []portion) (*team, error) {
	t := &team{spawner: process.NewSpawner()}
	for _, s := range parts {
		m, err := newMember(t.spawner, command, s)
		if err != nil {
			t.close()
			return nil, err
		}
		t.members = append(t.members, m)
	}
	for _, m := range t.members {
		err := ctx.Err()
		select {
		case <-m.ready:
		case <-m.gone:
			err = m.failure
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			t.close()
			return nil, err
		}
	}
	return t, nil
}

func newMember(s *process.Spawner, command []string, part portion) (*member, error) {
	m := &member{
		cmd:    exec.Command(command[0], command[1:]...), //nolint:noctx // leave ends it
		output: &process.Tail{}, last: counts{Busy: 1},
		ready: make(chan struct{}), finished: make(chan error, 1), counted: make(chan *counts, 1), gone: make(chan struct{}),
	}
	m.cmd.Stderr = m.output
	stdin, err := m.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("socketeer: %w", err)
	}
	stdout, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("socketeer: %w", err)
	}
	if err := s.Start(m.cmd); err != nil {
		return nil, fmt.Errorf("socketeer: cannot start a process for a share of the load: %w", err)
	}
	m.stdin, m.enc = stdin, json.NewEncoder(stdin)
	go m.listen(stdout)
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.enc.Encode(part) // when it is gone already, listen finds out why
	return m, nil
}

// listen takes in the news until the process ends.
func (m *member) listen(stdout io.Reader) {
	defer close(m.gone)
	dec := json.NewDecoder(stdout)
	var failure error
	for {
		var n news
		if err := dec.Decode(&n); err != nil {
			break
		}
		switch {
		case n.Ready:
			close(m.ready)
		case n.Finished && n.Error == "":
			m.finished <- nil
		case n.Finished:
			m.finished <- errors.New(n.Error)
		case n.Error != "":
			failure = errors.New(n.Error)
		case n.Counted != nil:
			m.counted <- n.Counted
		}
	}
	_ = m.cmd.Wait() // the state says more
	if failure == nil {
		failure = fmt.Errorf("socketeer: a process with a share of the load ended: %s%s", m.cmd.ProcessState, m.output.Shown())
	}
	m.failure = failure
}

func (m *member) instruct(i instruction) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.enc.Encode(i) // when it is gone, whoever waits for it sees that
}

// do has the process do something until it is finished.
func (m *member) do(ctx context.Context, i instruction) error {
	m.instruct(i)
	select {
	case err := <-m.finished:
		return err
	case <-m.gone:
		return m.failure
	case <-ctx.Done():
		return ctx.Err()
	}
}

// count asks what the process has counted. When it does not answer, what it
// said before still counts, and the error says why.
func (m *member) count(i instruction) (counts, error) {
	m.asking.Lock()
	defer m.asking.Unlock()
	i.Report = true
	m.instruct(i)
	timeout := time.NewTimer(replyTimeout)
	defer timeout.Stop()
	select {
	case c := <-m.counted:
		m.last = *c
		m.last.Latencies, m.last.Clients = nil, nil // they count once
		return *c, nil
	case <-m.gone:
		return m.last, m.failure
	case <-timeout.C:
		process.Kill(m.cmd) // the run fails for it
		return m.last, fmt.Errorf("socketeer: a process with a share of the load did not say within %v what it has counted", replyTimeout)
	}
}

// leave ends the process: by the end of its input, or it is killed.
func (m *member) leave() {
	m.stdin.Close()
	timeout := time.NewTimer(leaveTimeout)
	defer timeout.Stop()
	select {
	case <-m.gone:
		return
	case <-timeout.C:
	}
	process.Kill(m.cmd)
	<-m.gone
}

// do has all processes do something. Once conduct has returned, they are told
// that it is enough.
func (t *team) do(ctx context.Context, i instruction, conduct func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, m := range t.members {
		g.Go(func() error { return m.do(ctx, i) })
	}
	if conduct != nil {
		g.Go(func() error {
			defer func() {
				for _, m := range t.members {
					m.instruct(instruction{Enough: true})
				}
			}()
			return conduct(ctx)
		})
	}
	return g.Wait()
}

// collect adds up what the processes have counted, and the latencies since the
// last time when there is a histogram for them.
func (t *team) collect(into *hdrhistogram.Histogram) tally {
	replies := make([]counts, len(t.members))
	var wg sync.WaitGroup
	for i, m := range t.members {
		wg.Go(func() {
			var err error
			replies[i], err = m.count(instruction{Recent: into != nil})
			t.note(err)
		})
	}
	wg.Wait()
	var sum tally
	for _, c := range replies {
		sum.add(c.tally())
		t.note(mergePacked(into, c.Latencies))
	}
	return sum
}

// kinds adds up the latencies of each transport.
func (t *team) kinds() *kinds {
	sum := newKinds()
	for _, m := range t.members {
		c, err := m.count(instruction{Kinds: true})
		t.note(err)
		t.note(mergePacked(sum.webSocket, c.WebSocket))
		t.note(mergePacked(sum.polling, c.LongPolling))
	}
	return sum
}

// clients adds up how the clients of all processes fared.
func (t *team) clients() *clients {
	sum := newClients()
	for _, m := range t.members {
		c, err := m.count(instruction{Clients: true})
		t.note(err)
		t.note(sum.unpack(c.Clients))
	}
	return sum
}

// note keeps the first error for failure.
func (t *team) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
	}
}

// failure returns why what was counted is not to be trusted.
func (t *team) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// pids are the processes, to read their CPU time.
func (t *team) pids() processes {
	pids := make(processes, len(t.members))
	for i, m := range t.members {
		pids[i] = m.cmd.Process.Pid
	}
	return pids
}

func (t *team) close() {
	var wg sync.WaitGroup
	for _, m := range t.members {
		wg.Go(m.leave)
	}
	wg.Wait()
	t.spawner.Close()
}
