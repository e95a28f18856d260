// Package supervisor keeps a few child processes running on this machine: it
// starts them, merges what they print, starts them again when they die, shows
// what runs where, and takes all of them along when it ends.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socketeer-io/socketeer/internal/process"
)

// ExitConfig is the exit status by which a child says that starting it again
// would end the same way.
const ExitConfig = 2

// Child is one process to keep running.
type Child struct {
	Name     string
	Command  string
	Args     []string
	Env      []string
	URL      string // where clients reach it, for the table
	AdminURL string // where operators do; AdminURL/readyz tells when it is ready
	Socket   string // without AdminURL: a Unix socket that accepts connections when it is ready
	Outlives bool   // the others need it: they start when it is ready, and it is stopped when they have ended
}

// Options says what to run and how. Zero numbers mean their defaults.
type Options struct {
	Children []Child
	// Out receives the merged output, the supervisor's own messages and the
	// tables, whole lines at a time.
	Out io.Writer
	// Colour lets the names at the start of lines be coloured.
	Colour bool
	// Hint is a line below the table once everything runs.
	Hint string
	// StopTimeout is how long children may take to end after SIGTERM before
	// they are killed, default 5 s.
	StopTimeout time.Duration
	// Backoff is the pause before a child is started again, default 250 ms.
	// It doubles with each death in a row, up to MaxBackoff, default 10 s.
	Backoff, MaxBackoff time.Duration
	// Steady is how long a child must have run for its next death to count as
	// the first, default 10 s.
	Steady time.Duration
}

func (o *Options) fill() {
	for _, d := range []struct {
		p     *time.Duration
		value time.Duration
	}{
		{&o.StopTimeout, 5 * time.Second},
		{&o.Backoff, 250 * time.Millisecond},
		{&o.MaxBackoff, 10 * time.Second},
		{&o.Steady, 10 * time.Second},
	} {
		if *d.p == 0 {
			*d.p = d.value
		}
	}
}

// Supervisor runs children. Make it with [New].
type Supervisor struct {
	opts    Options
	out     *output
	table   *table
	spawner *process.Spawner
	client  *http.Client

	killOnce sync.Once
	kill     chan struct{} // closed by Kill

	missing atomic.Int64  // children that the others need and that have not been ready yet
	needed  chan struct{} // closed when there are none
}

// New prepares a supervisor; nothing runs before [Supervisor.Run].
func New(opts Options) *Supervisor {
	opts.fill()
	names := make([]string, len(opts.Children))
	for i, c := range opts.Children {
		names[i] = c.Name
	}
	out := newOutput(opts.Out, names, opts.Colour)
	return &Supervisor{
		opts:  opts,
		out:   out,
		table: newTable(opts.Children, out, opts.Hint),
		client: &http.Client{
			Timeout:   time.Second,
			Transport: &http.Transport{DisableKeepAlives: true},
		},
		kill:   make(chan struct{}),
		needed: make(chan struct{}),
	}
}

// Kill cuts a stop in progress short: children that still run are killed.
func (s *Supervisor) Kill() { s.killOnce.Do(func() { close(s.kill) }) }

// Run starts the children and keeps them running until ctx ends; then it
// stops them, and returns nil when none is left. It returns an error when a
// child cannot be started at all or exits with [ExitConfig]; the others are
// stopped then, too. Run may be called once.
func (s *Supervisor) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.spawner = process.NewSpawner()
	defer s.spawner.Close()

	last, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var wg, outliving sync.WaitGroup
	s.expect()
	for i, c := range s.opts.Children {
		until, group := ctx, &wg
		if c.Outlives {
			until, group = last, &outliving
		}
		group.Go(func() {
			if err := s.keep(until, i); err != nil {
				cancel(err)
			}
		})
	}
	wg.Go(func() {
		s.table.run(ctx)
		s.out.message("stopping %d processes, a second signal kills them", len(s.opts.Children))
	})
	wg.Wait()
	end()
	outliving.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// expect counts the children that the others wait for.
func (s *Supervisor) expect() {
	for _, c := range s.opts.Children {
		if c.Outlives {
			s.missing.Add(1)
		}
	}
	if s.missing.Load() == 0 {
		close(s.needed)
	}
}

// keep runs one child again and again until ctx ends.
func (s *Supervisor) keep(ctx context.Context, i int) error {
	c := s.opts.Children[i]
	if !c.Outlives {
		select {
		case <-s.needed:
		case <-ctx.Done():
			return nil
		}
	}
	arrived := sync.OnceFunc(func() {
		if c.Outlives && s.missing.Add(-1) == 0 {
			close(s.needed)
		}
	})
	for deaths := 0; ; deaths++ {
		started := time.Now()
		exit, err := s.runOnce(ctx, i, arrived)
		if err != nil || ctx.Err() != nil {
			return err
		}
		if exit.ExitCode() == ExitConfig {
			return fmt.Errorf("socketeer: %s does not accept its configuration, see its message above", c.Name)
		}
		if time.Since(started) >= s.opts.Steady {
			deaths = 0
		}
		pause := s.pause(deaths)
		s.out.message("%s died (%s), starting it again in %s", c.Name, exit, pause.Round(10*time.Millisecond))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// pause grows with the deaths in a row; a fifth of it is random, so that
// children that fell over each other do not do so again.
func (s *Supervisor) pause(deaths int) time.Duration {
	d := s.opts.MaxBackoff
	if deaths < 16 {
		d = min(d, s.opts.Backoff<<deaths)
	}
	return d - time.Duration(rand.Int64N(int64(d)/5+1))
}

// runOnce runs the child to its end, which it brings about when ctx ends. It
// calls ready when the child is.
func (s *Supervisor) runOnce(ctx context.Context, i int, ready func()) (exitState, error) {
	c := s.opts.Children[i]
	stdout, stderr := s.out.lines(i), s.out.lines(i)
	cmd := exec.Command(c.Command, c.Args...) //nolint:noctx // stopWhenDone ends it, politely at first
	cmd.Env, cmd.Stdout, cmd.Stderr = c.Env, stdout, stderr
	cmd.WaitDelay = time.Second // for output pipes that a grandchild keeps open
	if err := s.spawner.Start(cmd); err != nil {
		return exitState{}, fmt.Errorf("socketeer: cannot start %s: %w", c.Name, err)
	}
	s.table.set(i, stateStarting, cmd.Process.Pid)

	done := make(chan struct{})
	watching, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { s.stopWhenDone(ctx, cmd, done) })
	wg.Go(func() {
		if s.watchReady(watching, i, cmd.Process.Pid) {
			ready()
		}
	})
	_ = cmd.Wait() // the exit state says more
	close(done)
	cancel()
	wg.Wait()
	stdout.flush()
	stderr.flush()
	s.table.set(i, stateDown, 0)
	return exitState{cmd.ProcessState}, nil
}

// stopWhenDone ends the process when ctx ends: politely, then not.
func (s *Supervisor) stopWhenDone(ctx context.Context, cmd *exec.Cmd, done <-chan struct{}) {
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	process.Terminate(cmd)
	patience := time.NewTimer(s.opts.StopTimeout)
	defer patience.Stop()
	select {
	case <-done:
		return
	case <-s.kill:
	case <-patience.C:
	}
	process.Kill(cmd)
}

// watchReady asks the child until it says that it is ready, or ctx ends: then it
// returns false.
func (s *Supervisor) watchReady(ctx context.Context, i, pid int) bool {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-again.C:
		}
		if s.ready(ctx, s.opts.Children[i]) {
			s.table.set(i, stateReady, pid)
			return true
		}
	}
}

func (s *Supervisor) ready(ctx context.Context, c Child) bool {
	switch {
	case c.AdminURL == "" && c.Socket == "":
		return true
	case c.AdminURL == "":
		return accepts(ctx, c.Socket)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.AdminURL+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// accepts reports whether somebody listens at a Unix socket.
func accepts(ctx context.Context, path string) bool {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
