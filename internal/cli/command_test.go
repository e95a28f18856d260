package cli_test

import (
	"bytes"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/cli"
)

// asCommand makes the test binary be the command, so that signals, exit
// statuses and child processes are real ones.
const asCommand = "CLI_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Exit(cli.Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// process is a running command.
type process struct {
	*exec.Cmd
	out  *output
	done chan struct{}
}

// output collects what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// command starts the command; both its streams go into out.
func command(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...), out: &output{more: make(chan struct{}, 1)}, done: make(chan struct{})}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "SOCKETEER_") {
			p.Env = append(p.Env, e)
		}
	}
	p.Env = append(append(p.Env, asCommand+"=1"), env...)
	p.Stdout, p.Stderr = p.out, p.out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.Wait() // ProcessState says it
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill() // unless it is gone
		<-p.done
	})
	return p
}

// sees waits for the n-th match of pattern and returns its first group.
func (p *process) sees(t *testing.T, n int, pattern string) string {
	t.Helper()
	re := regexp.MustCompile("(?m)" + pattern)
	deadline := time.After(30 * time.Second)
	for {
		if m := re.FindAllStringSubmatch(p.out.String(), n); len(m) == n {
			return m[n-1][len(m[n-1])-1]
		}
		select {
		case <-p.out.more:
		case <-deadline:
			t.Fatalf("no %d-th %q in:\n%s", n, pattern, p.out)
		}
	}
}

// status waits for the end, and returns the exit status.
func (p *process) status(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("it does not end:\n%s", p.out)
	}
	return p.ProcessState.ExitCode()
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// listener takes a port.
func listener(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// freeRange returns the first of n ports in a row that are free now.
func freeRange(t *testing.T, n int) int {
	t.Helper()
	for range 100 {
		if first := 20000 + rand.IntN(12000); allFree(first, n) {
			return first
		}
	}
	t.Fatal("no free ports")
	return 0
}

func allFree(first, n int) bool {
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(first+i))
		if err != nil {
			return false
		}
		if l.Close() != nil {
			return false
		}
	}
	return true
}

func TestErrorsAreOneLine(t *testing.T) {
	taken := listener(t)
	_, takenPort, _ := net.SplitHostPort(taken)
	file := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(file, []byte("ping-intervall: 3s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed := "127.0.0.1:" + strconv.Itoa(freeRange(t, 1))
	free := []string{"serve", "--addr", "127.0.0.1:0", "--admin-addr", "off"}
	for name, tc := range map[string]struct {
		args   []string
		env    []string
		status int
		want   []string
	}{
		"port in use":       {args: []string{"serve", "--addr", taken, "--admin-addr", "off"}, status: 1, want: []string{"addr " + taken + " is in use"}},
		"admin port in use": {args: []string{"serve", "--addr", "127.0.0.1:0", "--admin-addr", taken}, status: 1, want: []string{"--admin-addr"}},
		"no NATS server":    {args: append(free, "--nats", "nats://"+closed), status: 1, want: []string{closed}},
		"no peer":           {args: append(free, "--cluster-addr", "127.0.0.1:0", "--cluster-peers", closed, "--cluster-wait", "10ms"), status: 1, want: []string{"no node answers at " + closed}},
		"unknown key":       {args: []string{"serve", "--config", file}, status: 2, want: []string{file, `"ping-intervall"`, "did you mean ping-interval?"}},
		"unknown variable":  {args: []string{"serve"}, env: []string{"SOCKETEER_ADR=:1"}, status: 2, want: []string{"SOCKETEER_ADR", "did you mean SOCKETEER_ADDR?"}},
		"unknown flag":      {args: []string{"serve", "--ping-intervall", "3s"}, status: 2, want: []string{"did you mean --ping-interval?"}},
		"unknown command":   {args: []string{"sevre"}, status: 2, want: []string{`"sevre"`, "serve"}},
		"unknown config":    {args: []string{"config", "show"}, status: 2, want: []string{`"show"`}},
		"bad duration":      {args: []string{"serve", "--ping-interval", "25"}, status: 2, want: []string{"--ping-interval", "25s"}},
		"no file":           {args: []string{"serve", "--config", file + ".gone"}, status: 1, want: []string{"no configuration file"}},
		"check":             {args: []string{"config", "check", file}, status: 2, want: []string{"ping-intervall"}},
		"up, port in use":   {args: []string{"up", "--addr", taken}, status: 1, want: []string{"in use"}},
		"up, second port in use": {args: []string{"up", "--addr", "127.0.0.1:" + before(t, takenPort)}, status: 1,
			want: []string{"in use"}},
		"up, too many": {args: []string{"up", "--nodes", "65"}, status: 2, want: []string{"1 to 64"}},
		"up, no room":  {args: []string{"up", "--addr", "127.0.0.1:65535"}, status: 2, want: []string{"no room"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := command(t, append(tc.env, "SOCKETEER_LOG_LEVEL=error"), tc.args...)
			if status := p.status(t); status != tc.status {
				t.Errorf("exit status %d", status)
			}
			text := p.out.String()
			if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "socketeer: ") {
				t.Errorf("not one line: %q", text)
			}
			for _, want := range tc.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q lacks %q", text, want)
				}
			}
		})
	}
}

// before returns the port below.
func before(t *testing.T, port string) string {
	t.Helper()
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(n - 1)
}

func TestServeStops(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		p := command(t, []string{"SOCKETEER_LOG_FORMAT=json"}, "serve", "--addr", "127.0.0.1:0", "--admin-addr", "off")
		p.sees(t, 1, `"msg":"serving".*"url":"http://127.0.0.1:\d+"`)
		p.signal(t, s)
		if status := p.status(t); status != 0 {
			t.Errorf("%v: exit status %d\n%s", s, status, p.out)
		}
	}
}

func TestSecondSignalCuts(t *testing.T) {
	p := command(t, nil, "serve", "--addr", "127.0.0.1:0", "--admin-addr", "off", "--drain-delay", "1h")
	addr := p.sees(t, 1, `url=http://(\S+)`)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGTERM)
	p.sees(t, 1, "msg=draining")
	p.signal(t, syscall.SIGTERM)
	if status := p.status(t); status == 0 {
		t.Errorf("exit status %d\n%s", status, p.out)
	}
}

func TestUp(t *testing.T) {
	first := freeRange(t, 6)
	url := "http://127.0.0.1:" + strconv.Itoa(first)
	p := command(t, nil, "up", "--addr", "127.0.0.1:"+strconv.Itoa(first), "--admin-addr", "127.0.0.1:"+strconv.Itoa(first+3))
	pid := p.sees(t, 1, `^  node-2 +(\d+) +ready`)
	p.sees(t, 1, `^  node-1 +\d+ +ready +`+url)
	p.sees(t, 1, `^  The chat is at `+url)

	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	node, err := os.FindProcess(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Kill(); err != nil {
		t.Fatal(err)
	}
	p.sees(t, 1, `^up +\| node-2 died \(signal: killed\)`)
	again := pid
	for n := 2; again == pid; n++ { // the first one may have been ready more than once
		again = p.sees(t, n, `^  node-2 +(\d+) +ready`)
	}

	p.signal(t, os.Interrupt)
	if status := p.status(t); status != 0 {
		t.Errorf("exit status %d\n%s", status, p.out)
	}
	if strings.Contains(p.out.String(), "CLUSTER_TOKEN") {
		t.Error("the secret is shown")
	}
	if !allFree(first, 6) {
		t.Error("a port is still taken")
	}
}

func TestConfigCommands(t *testing.T) {
	p := command(t, []string{"SOCKETEER_CLUSTER_TOKEN=hunter2"}, "config", "print", "--cluster-addr=127.0.0.1:1", "--name=n")
	if status := p.status(t); status != 0 {
		t.Fatalf("exit status %d: %s", status, p.out)
	}
	text := p.out.String()
	if strings.Contains(text, "hunter2") || !strings.Contains(text, "ping-interval: 25s\n") || !strings.Contains(text, "adapter: nats\n") {
		t.Errorf("got %s", text)
	}
	file := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p = command(t, nil, "config", "check", file)
	if status := p.status(t); status != 2 || !strings.Contains(p.out.String(), "cluster-token: ******** stands for a secret") {
		t.Errorf("exit status %d: %s", status, p.out)
	}
	text = strings.ReplaceAll(text, "'********'", "hunter2")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p = command(t, nil, "config", "check", file)
	if status := p.status(t); status != 0 || !strings.Contains(p.out.String(), "is fine") {
		t.Errorf("exit status %d: %s", status, p.out)
	}
}

func TestConfigCheckRefusesWhatTheStartRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"parameter":    {"redis: redis://u:secret@h?timeout=1s\n", `redis://***@h: unknown parameter "timeout" (known: db)`},
		"one of a few": {"redis:\n  - redis://h\n  - redis://i?timeout=1s\n", `redis://i: unknown parameter "timeout" (known: db)`},
		"of sentinels": {"redis: redis-sentinel://h/main?timeout=1s\n", `unknown parameter "timeout" (known: db, sentinel_user, sentinel_password)`},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "node.yaml")
			if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, args := range [][]string{{"config", "check", file}, {"serve", "--config", file}} {
				p := command(t, nil, args...)
				if status := p.status(t); status != 2 {
					t.Errorf("%v: exit status %d", args, status)
				}
				said = append(said, p.out.String())
			}
			if !strings.Contains(said[0], tc.want) || said[0] != said[1] {
				t.Errorf("check says %q, the start %q, want %q", said[0], said[1], tc.want)
			}
		})
	}
}

func TestHelpTeaches(t *testing.T) {
	for _, args := range [][]string{
		{"serve"}, {"up"}, {"bench"}, {"version"}, {"config"}, {"config", "print"}, {"config", "check"},
	} {
		p := command(t, nil, append(args, "--help")...)
		if status := p.status(t); status != 0 || !strings.Contains(p.out.String(), "Examples:\n  socketeer "+strings.Join(args, " ")) {
			t.Errorf("%v: exit status %d: %s", args, status, p.out)
		}
	}
	p := command(t, nil, "version")
	if status := p.status(t); status != 0 || !strings.HasPrefix(p.out.String(), "socketeer ") {
		t.Errorf("exit status %d: %s", status, p.out)
	}
}
