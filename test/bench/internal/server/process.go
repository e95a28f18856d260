package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// startPatience is how long a server may take until it serves.
	startPatience = 30 * time.Second
	// stopPatience is how long it may take to stop by itself.
	stopPatience = 5 * time.Second
)

// process is a server process that was started here.
type process struct {
	name string // for people
	cmd  *exec.Cmd
	out  *output

	stopping atomic.Bool   // it may end now
	done     chan struct{} // closed when it has ended and err is set
	err      error         // why it ended
}

// command says how to start a process.
type command struct {
	name  string // for people
	dir   string
	argv  []string
	env   []string // besides the harness's own
	ready string   // what it prints when it serves; empty: it does not say
}

// start starts a process. died is called when it ends before stop.
func start(c command, died func(error)) (*process, error) {
	p := &process{name: c.name, out: newOutput(c.ready), done: make(chan struct{})}
	p.cmd = exec.Command(c.argv[0], c.argv[1:]...) //nolint:noctx // stop ends it, politely at first
	p.cmd.Dir, p.cmd.Env = c.dir, append(environ(), c.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = Attributes()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("socketeer: cannot start %s: %w", c.name, err)
	}
	go func() {
		err := p.cmd.Wait()
		p.err = fmt.Errorf("socketeer: %s (%s) ended by itself (%s); it said: %s; "+
			"start it by hand to see why, or leave it out with --servers", c.name, strings.Join(c.argv, " "), status(err), p.out.last())
		close(p.done)
		if !p.stopping.Load() {
			died(p.err)
		}
	}()
	return p, nil
}

func status(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// environ is the harness's environment without settings of ours: a server's
// are those of the comparison.
func environ() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SOCKETEER_") {
			env = append(env, v)
		}
	}
	return env
}

// await waits until ready is closed.
func (p *process) await(ctx context.Context, ready <-chan struct{}) error {
	patience := time.NewTimer(startPatience)
	defer patience.Stop()
	select {
	case <-ready:
		return nil
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-patience.C:
		return fmt.Errorf("socketeer: %s does not serve after %v; it said: %s", p.name, startPatience, p.out.last())
	}
}

// stop ends the processes and returns when they are gone.
func stop(processes []*process) error {
	for _, p := range processes {
		p.stopping.Store(true)
	}
	for _, p := range processes {
		// An error means that it has ended.
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	patience := time.NewTimer(stopPatience)
	defer patience.Stop()
	var errs []error
	for _, p := range processes {
		select {
		case <-p.done:
			continue
		case <-patience.C:
			patience.Reset(0) // for the next one, too
		}
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, fmt.Errorf("socketeer: cannot stop %s: %w", p.name, err))
			continue
		}
		<-p.done
	}
	return errors.Join(errs...)
}

// kept is how much of a process's output is remembered.
const kept = 16 << 10

// output remembers the end of what a process prints.
type output struct {
	ready chan struct{} // closed when want has been printed

	mu   sync.Mutex
	text string
	want string // empty when seen, or never expected
}

func newOutput(want string) *output { return &output{ready: make(chan struct{}), want: want} }

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text += string(p)
	if o.want != "" && strings.Contains(o.text, o.want) {
		o.want = ""
		close(o.ready)
	}
	o.text = o.text[max(0, len(o.text)-kept):]
	return len(p), nil
}

// last returns the last line that says something.
func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := strings.TrimSpace(o.text)
	if text == "" {
		return "nothing"
	}
	return text[strings.LastIndexByte(text, '\n')+1:]
}
