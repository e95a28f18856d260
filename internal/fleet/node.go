package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/internal/process"
)

const (
	// again is how often a server that starts is looked at.
	again = 20 * time.Millisecond
	// answerTimeout is how long an answer to /readyz is waited for. Servers
	// that do not know the path may never answer.
	answerTimeout = 500 * time.Millisecond
)

// node is one server, and its process while it has one.
type node struct {
	name    string
	addr    string   // where clients reach it
	admin   string   // URL for operators, "" when it is none of ours
	command []string // and its arguments
	env     []string // nil: this process's

	mu   sync.Mutex
	proc *running      // the latest; nil before the first
	past time.Duration // CPU time of those before it
}

// running is a process that was started.
type running struct {
	cmd    *exec.Cmd
	output *process.Tail
	done   chan struct{} // closed when it has ended
	asked  bool          // to end
}

// start starts the process, and waits until the server is ready in a cluster
// of so many.
func (n *node) start(ctx context.Context, s *process.Spawner, nodes int) error {
	p := &running{output: &process.Tail{}, done: make(chan struct{})}
	p.cmd = exec.Command(n.command[0], n.command[1:]...) //nolint:noctx // stop and kill end it
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = n.env, p.output, p.output
	p.cmd.WaitDelay = time.Second // for output pipes that a grandchild keeps open
	if err := s.Start(p.cmd); err != nil {
		return fmt.Errorf("socketeer: cannot start %s: %w", n.name, err)
	}
	n.mu.Lock()
	if n.proc != nil {
		n.past += n.proc.cpu()
	}
	n.proc = p
	n.mu.Unlock()
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the state says more
	}()
	tick := time.NewTicker(again)
	defer tick.Stop()
	for why := "it does not listen"; why != ""; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("socketeer: %s at %s is not ready, %s: %w%s", n.name, n.addr, why, ctx.Err(), p.output.Shown())
		case <-p.done:
			return n.ended(p)
		case <-tick.C:
			why = n.notReady(ctx, nodes)
		}
	}
	return nil
}

// notReady says what is missing, "" when nothing is.
func (n *node) notReady(ctx context.Context, nodes int) string {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", n.addr)
	if err != nil {
		return "it does not listen"
	}
	c.Close()
	if n.admin == "" {
		if status, _ := ask(ctx, "http://"+n.addr+"/readyz", nil); status == http.StatusServiceUnavailable {
			return "it says so itself"
		}
		return ""
	}
	if status, err := ask(ctx, n.admin+"/readyz", nil); err != nil || status != http.StatusOK {
		return "it says so itself"
	}
	var known struct {
		Nodes []struct{} `json:"nodes"`
	}
	if _, err := ask(ctx, n.admin+"/v1/nodes", &known); err != nil || len(known.Nodes) < nodes {
		return fmt.Sprintf("it knows %d of %d nodes", len(known.Nodes), nodes)
	}
	return ""
}

// ask makes a request, and reads the answer into body when that is not nil.
func ask(ctx context.Context, url string, body any) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if body != nil {
		err = json.NewDecoder(resp.Body).Decode(body)
	}
	return resp.StatusCode, err
}

// ended is the error of a process that should run.
func (n *node) ended(p *running) error {
	return fmt.Errorf("socketeer: %s ended: %s%s", n.name, p.cmd.ProcessState, p.output.Shown())
}

// current returns the process when it runs.
func (n *node) current() *running {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil {
		return nil
	}
	select {
	case <-n.proc.done:
		return nil
	default:
		return n.proc
	}
}

func (n *node) pid() int {
	if p := n.current(); p != nil {
		return p.cmd.Process.Pid
	}
	return 0
}

// processes returns the process, 0 when it does not run, and the CPU time of
// those that have ended.
func (n *node) processes() (pid int, ended time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil {
		return 0, n.past
	}
	select {
	case <-n.proc.done:
		return 0, n.past + n.proc.cpu()
	default:
		return n.proc.cmd.Process.Pid, n.past
	}
}

// cpu returns the CPU time of a process that has ended, 0 of one that runs.
func (p *running) cpu() time.Duration {
	select {
	case <-p.done:
	default:
		return 0
	}
	if p.cmd.ProcessState == nil {
		return 0 // nothing is known of it
	}
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// failed returns an error when the process has ended and nobody asked it to.
func (n *node) failed() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil || n.proc.asked {
		return nil
	}
	select {
	case <-n.proc.done:
		return n.ended(n.proc)
	default:
		return nil
	}
}

// ask notes that the process is to end, and returns it when it runs.
func (n *node) ask() *running {
	p := n.current()
	if p != nil {
		n.mu.Lock()
		p.asked = true
		n.mu.Unlock()
	}
	return p
}

func (n *node) stop(ctx context.Context, timeout time.Duration) {
	p := n.ask()
	if p == nil {
		return
	}
	process.Terminate(p.cmd)
	patience := time.NewTimer(timeout)
	defer patience.Stop()
	select {
	case <-p.done:
		return
	case <-patience.C:
	case <-ctx.Done():
	}
	process.Kill(p.cmd)
	<-p.done
}

func (n *node) kill() {
	if p := n.ask(); p != nil {
		process.Kill(p.cmd)
		<-p.done
	}
}
