package supervisor_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/internal/app/supervisor"
)

// role makes the test binary play a child, or a supervisor to be killed.
const role = "SUPERVISOR_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		goleak.VerifyTestMain(m)
	case "polite":
		child(true)
	case "stubborn":
		child(false)
	case "telling":
		child(true)
		fmt.Println("\nasked to end")
	case "misconfigured":
		fmt.Println("socketeer: unknown key")
		os.Exit(supervisor.ExitConfig)
	case "supervisor":
		s := supervisor.New(supervisor.Options{Out: os.Stdout, Children: []supervisor.Child{self("a", "polite"), self("b", "stubborn")}})
		_ = s.Run(context.Background())
	}
}

// child runs until it is asked to stop, and longer when it is not polite.
func child(polite bool) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	fmt.Printf("hello from %d\nno end", os.Getpid())
	<-signals
	if !polite {
		select {}
	}
}

func self(name, as string) supervisor.Child {
	return supervisor.Child{Name: name, Command: os.Args[0], Env: append(os.Environ(), role+"="+as), URL: "http://" + name}
}

// log collects output and lets tests wait for it.
type log struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func newLog() *log { return &log{more: make(chan struct{}, 1)} }

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wait returns the n-th match (from 1) of pattern's first group.
func (l *log) wait(t *testing.T, pattern string, n int) string {
	t.Helper()
	re := regexp.MustCompile("(?m)" + pattern)
	deadline := time.After(20 * time.Second)
	for {
		if m := re.FindAllStringSubmatch(l.String(), -1); len(m) >= n {
			return m[n-1][len(m[n-1])-1]
		}
		select {
		case <-l.more:
		case <-deadline:
			t.Fatalf("no %d-th %q in:\n%s", n, pattern, l)
		}
	}
}

// start runs a supervisor in the background; stop ends it and returns Run's
// error.
func start(t *testing.T, opts supervisor.Options) (s *supervisor.Supervisor, out *log, stop func() error) {
	t.Helper()
	out = newLog()
	opts.Out = out
	s = supervisor.New(opts)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- s.Run(ctx) }()
	return s, out, func() error {
		cancel()
		select {
		case err := <-result:
			return err
		case <-time.After(20 * time.Second):
			return errors.New("the supervisor does not stop")
		}
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRestartsAndStops(t *testing.T) {
	_, out, stop := start(t, supervisor.Options{
		Children: []supervisor.Child{self("a", "polite"), self("bb", "polite")},
		Backoff:  time.Millisecond,
		Hint:     "look here",
	})
	first := number(t, out.wait(t, `^a  \| hello from (\d+)$`, 1))
	out.wait(t, `^bb \| hello from (\d+)$`, 1)
	out.wait(t, `^  a +`+strconv.Itoa(first)+` +ready +http://a`, 1)
	out.wait(t, `^  look here$`, 1)

	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	out.wait(t, `^up \| a died \(signal: killed\), starting it again in `, 1)
	out.wait(t, `^a  \| no end$`, 1) // a last line without an end is not lost
	second := number(t, out.wait(t, `^a  \| hello from (\d+)$`, 2))
	out.wait(t, `^  a +`+strconv.Itoa(second)+` +ready`, 1)

	if err := stop(); err != nil {
		t.Error(err)
	}
	if alive(second) {
		t.Error("a child is left")
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("colours that nobody asked for")
	}
}

func TestKillsStragglers(t *testing.T) {
	for name, cut := range map[string]bool{"after the timeout": false, "at a second signal": true} {
		t.Run(name, func(t *testing.T) {
			opts := supervisor.Options{Children: []supervisor.Child{self("a", "stubborn")}, StopTimeout: 50 * time.Millisecond, Colour: true}
			if cut {
				opts.StopTimeout = time.Hour
			}
			s, out, stop := start(t, opts)
			pid := number(t, out.wait(t, `hello from (\d+)`, 1))
			if cut {
				s.Kill()
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			if alive(pid) {
				t.Error("the child is left")
			}
			if !strings.Contains(out.String(), "\x1b[36ma  | \x1b[0mhello") {
				t.Errorf("no colours in %q", out)
			}
		})
	}
}

func TestGivesUp(t *testing.T) {
	for name, bad := range map[string]supervisor.Child{
		"does not accept its configuration": self("b", "misconfigured"),
		"cannot start b":                    {Name: "b", Command: "/does/not/exist"},
	} {
		t.Run(name, func(t *testing.T) {
			out := newLog()
			err := supervisor.New(supervisor.Options{Children: []supervisor.Child{self("a", "polite"), bad}, Out: out}).Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestReadiness(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 100)
	ready := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-ready:
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()

	child := self("a", "polite")
	child.AdminURL = "http://" + listener.Addr().String()
	_, out, stop := start(t, supervisor.Options{Children: []supervisor.Child{child}})
	<-asked
	<-asked
	if strings.Contains(out.String(), "ready") {
		t.Errorf("ready too early:\n%s", out)
	}
	close(ready)
	out.wait(t, `^  a +\d+ +ready +http://a +`+child.AdminURL, 1)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A supervisor that is killed takes its children along.
func TestChildrenDieWithTheSupervisor(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can do it")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"=supervisor")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	lines := bufio.NewScanner(out)
	for len(pids) < 2 && lines.Scan() {
		if _, pid, ok := strings.Cut(lines.Text(), "hello from "); ok {
			pids = append(pids, number(t, pid))
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The children hold the write side of their own pipes only, so that the
	// supervisor's output ends with it.
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, pid := range pids {
		for running(pid) {
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("process %d survives its supervisor", pid)
			}
		}
	}
}

// running reports whether a process of another parent runs; it may stay a
// zombie for long where nobody reaps.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// What the others need is ready before they start, and ends after them.
func TestOutlives(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	needed := self("needed", "telling")
	needed.Outlives, needed.Socket = true, socket
	_, out, stop := start(t, supervisor.Options{Children: []supervisor.Child{self("node", "telling"), needed}, Hint: "all up"})
	out.wait(t, `^needed \| hello`, 1)
	out.wait(t, `^  needed +\d+ +starting`, 1) // the table of what takes long
	if strings.Contains(out.String(), "node   | ") {
		t.Errorf("started too early:\n%s", out)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out.wait(t, "all up", 1)
	out.wait(t, `^node   \| hello`, 1) // now it hears signals
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	first, last := strings.Index(text, "node   | asked to end"), strings.Index(text, "needed | asked to end")
	if first < 0 || last < first {
		t.Errorf("not in this order:\n%s", text)
	}
}

// A stop does not wait for what never got ready.
func TestNeededIsNeverReady(t *testing.T) {
	needed := self("needed", "polite")
	needed.Outlives, needed.Socket = true, filepath.Join(t.TempDir(), "s")
	_, out, stop := start(t, supervisor.Options{Children: []supervisor.Child{needed, self("node", "polite")}})
	out.wait(t, `^needed \| hello`, 1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "node   | hello") {
		t.Errorf("started all the same:\n%s", out)
	}
}
