package cli_test

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/internal/app/bench"
	"github.com/socketeer-io/socketeer/internal/cli"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// run runs the command with its standard streams caught. Tests that use it do
// not run in parallel.
func run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	caught := func(stream **os.File) (read func() string) {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		before := *stream
		*stream = f
		return func() string {
			*stream = before
			defer f.Close()
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(f)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
	}
	out, errs := caught(&os.Stdout), caught(&os.Stderr)
	status = cli.Main(args)
	return status, out(), errs()
}

func TestBenchRefuses(t *testing.T) {
	addr := []string{"bench", "--addr", "127.0.0.1:1", "--mode", "rooms"}
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"no address", `required flag(s) "addr"`, []string{"bench", "--mode", "idle"}},
		{"no mode", `required flag(s) "mode"`, []string{"bench", "--addr", "127.0.0.1:1"}},
		{"unknown mode", `mode "sunny" is none of`, []string{"bench", "--addr", "127.0.0.1:1", "--mode", "sunny"}},
		{"rate without a number", "want a number a second", append(addr, "--rate", "fast")},
		{"rate per minute", "want a number a second", append(addr, "--rate", "5/m")},
		{"negative rate", "want a number a second", append(addr, "--rate", "-5")},
		{"no number as rate", "want a number a second", append(addr, "--rate", "NaN")},
		{"share over all", "want a share", append(addr, "--polling", "101%")},
		{"no share", "want a share", append(addr, "--polling", "some")},
		{"duration without unit", "invalid argument", append(addr, "--duration", "5")},
		{"small payload", "payload of 8 bytes", append(addr, "--payload", "8")},
		{"large room", "a room of 100", append(addr, "--conns", "10")},
		{"an argument", "unknown command", append(addr, "more")},
		{"no server", "connection refused", append(addr, "--conns", "100")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := run(t, tt.args...)
			if status == 0 || stdout != "" || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("status %d, stdout %q, stderr %q; want one line with %q", status, stdout, stderr, tt.want)
			}
		})
	}
}

func TestBench(t *testing.T) {
	io, err := socketeer.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	bench.Mount(io)
	srv := httptest.NewServer(io)
	defer srv.Close()
	defer io.Close()
	args := []string{"bench", "--addr", srv.Listener.Addr().String(), "--mode", "rooms",
		"--conns", "20", "--room", "10", "--rate", "1k/s", "--duration", "100ms", "--warmup", "0s"}

	status, stdout, stderr := run(t, args...)
	if status != 0 || !strings.Contains(stdout, "1,000/s asked for") || !strings.Contains(stdout, "p99.9") {
		t.Errorf("status %d, stderr %q, stdout\n%s", status, stderr, stdout)
	}
	t.Setenv(asCommand, "1") // what the command starts shall be the command
	status, stdout, stderr = run(t, append(args, "--processes", "2")...)
	if status != 0 || !strings.Contains(stdout, "2 processes") {
		t.Errorf("status %d, stderr %q, stdout\n%s", status, stderr, stdout)
	}
	status, stdout, stderr = run(t, append(args, "--json")...)
	var r loadgen.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || status != 0 {
		t.Fatalf("status %d, stderr %q, %v in\n%s", status, stderr, err, stdout)
	}
	if status, stdout, stderr = run(t, append(args, "--polling", "50%")...); status != 0 || !strings.Contains(stdout, "10 on polling") {
		t.Errorf("status %d, stderr %q, stdout\n%s", status, stderr, stdout)
	}
	if r.Rate != 1000 || r.Load == nil || r.Load.Received != 100 {
		t.Errorf("rate %g, load %+v", r.Rate, r.Load)
	}
}

// A page is written beside the report, and that it cannot be is found out
// before the run.
func TestBenchPage(t *testing.T) {
	io, err := socketeer.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	bench.Mount(io)
	srv := httptest.NewServer(io)
	defer srv.Close()
	defer io.Close()
	addr := srv.Listener.Addr().String()
	path := filepath.Join(t.TempDir(), "a report.html")
	args := []string{"bench", "--addr", addr + "," + addr, "--mode", "echo", "--conns", "2", "--rate", "1k/s", "--duration", "100ms", "--warmup", "0s"}

	status, stdout, stderr := run(t, append(args, "--html", path)...)
	if status != 0 || !strings.Contains(stdout, "1,000/s asked for") {
		t.Fatalf("status %d, stderr %q, stdout\n%s", status, stderr, stdout)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"socketeer bench --addr " + addr + "," + addr + " --mode echo --conns 2 --rate 1000 --duration 100ms --warmup 0s --html &#39;" + path + "&#39;",
		"messages arrived, once and in order",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page says nothing of %q", want)
		}
	}

	storm := []string{"bench", "--addr", addr, "--mode", "storm", "--conns", "20", "--room", "10", "--settle", "10ms", "--reconnect-delay", "100ms", "--html", path}
	if status, stdout, stderr = run(t, storm...); status != 0 {
		t.Fatalf("status %d, stderr %q, stdout\n%s", status, stderr, stdout)
	}
	if page, err = os.ReadFile(path); err != nil || !strings.Contains(string(page), "Connections back") {
		t.Errorf("%v, or the page does not show how connections came back", err)
	}

	status, stdout, stderr = run(t, append(args, "--html", filepath.Join(path, "below"))...)
	if status == 0 || stdout != "" || strings.Count(stderr, "\n") != 1 {
		t.Errorf("status %d, stdout %q, stderr %q; want one line about the file", status, stdout, stderr)
	}
}

func TestBenchScenarios(t *testing.T) {
	io, err := socketeer.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	bench.Mount(io)
	srv := httptest.NewServer(io)
	defer srv.Close()
	defer io.Close()
	for want, args := range map[string][]string{
		"broadcast to 20, ":             {"--mode", "broadcast", "--duration", "100ms"},
		"direct to one user, ":          {"--mode", "direct", "--to-user", "--duration", "100ms"},
		"20, fin":                       {"--mode", "storm", "--settle", "10ms", "--reconnect-delay", "0", "--cut", "fin"},
		"18, by rst, every 0.100 s for": {"--mode", "drops", "--drop-every", "100ms", "--drop-for", "10ms", "--messages", "20", "--message-every", "10ms", "--drain", "10ms", "--recover"},
	} {
		args = append([]string{"bench", "--addr", srv.Listener.Addr().String(), "--conns", "20", "--room", "10", "--warmup", "0s"}, args...)
		if status, stdout, stderr := run(t, args...); status != 0 || !strings.Contains(stdout, want) {
			t.Errorf("%v: status %d, stderr %q, stdout\n%s", args, status, stderr, stdout)
		}
	}
}
