package cli_test

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
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
	in := func(mode string, more ...string) []string {
		return append([]string{"bench", "--addr", "127.0.0.1:1", "--mode", mode}, more...)
	}
	addr := in("rooms")
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"no connections", "number of connections is 0", append(addr, "--conns", "0")},
		{"no port", `"127.0.0.1" is not host:port`, []string{"bench", "--addr", "127.0.0.1", "--mode", "idle"}},
		{"negative duration", "duration -1s is negative", append(addr, "--duration", "-1s")},
		{"more processes than rooms", "2 processes for 1 rooms", append(addr, "--conns", "100", "--processes", "2")},
		{"no payload", "--payload 0: must be positive", append(addr, "--payload", "0")},
		{"empty rooms", "--room 0: must be positive", append(addr, "--room", "0")},
		{"no pause", "--drop-for 0s: must be positive", in("drops", "--drop-for", "0")},
		{"negative delay", "--reconnect-delay -2s: must not be negative", in("storm", "--reconnect-delay", "-2s")},
		{"negative drain", "--drain -1s: must not be negative", append(addr, "--drain", "-1s")},
		{"duration of drops", "--duration does nothing in drops: it is for idle, storm, echo", in("drops", "--duration", "5s")},
		{"warm-up of drops", "--warmup does nothing in drops", in("drops", "--warmup", "1s")},
		{"warm-up of storm", "--warmup does nothing in storm", in("storm", "--warmup", "1s")},
		{"cut in echo", "--cut does nothing in echo: it is for storm, drops", in("echo", "--cut", "fin")},
		{"drops in echo", "--drop-every does nothing in echo", in("echo", "--drop-every", "1s")},
		{"messages in echo", "--messages does nothing in echo", in("echo", "--messages", "5")},
		{"recover in echo", "--recover does nothing in echo", in("echo", "--recover")},
		{"users in rooms", "--to-user does nothing in rooms", append(addr, "--to-user")},
		{"rate of storm", "--rate does nothing in storm", in("storm", "--rate", "5")},
		{"rooms of all", "--room does nothing in broadcast", in("broadcast", "--room", "5")},
		{"in flight at a rate", "--inflight does nothing with --rate", append(addr, "--rate", "5", "--inflight", "5")},
		{"mistyped mode", `mode "ecoh" is none of idle, echo, rooms, broadcast, direct, storm, drops, deploy (did you mean echo?)`, in("ecoh")},
		{"mistyped flag", "unknown flag: --conn (did you mean --conns?)", append(addr, "--conn", "5")},
		{"mistyped command", `unknown command "tabel" for "socketeer bench" (did you mean table?)`, []string{"bench", "tabel"}},
		{"mistyped command of config", `unknown command "shwo" for "socketeer config"`, []string{"config", "shwo"}},
		{"flag of a subcommand", "did you mean --strength?", []string{"bench", "model", "--strengt", "5"}},
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
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := run(t, tt.args...)
			if status != 2 || stdout != "" || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("status %d, stdout %q, stderr %q; want one line with %q", status, stdout, stderr, tt.want)
			}
		})
	}
}

func TestBenchWithoutServer(t *testing.T) {
	status, stdout, stderr := run(t, "bench", "--addr", "127.0.0.1:1", "--mode", "rooms", "--conns", "100")
	if status != 1 || stdout != "" || !strings.Contains(stderr, "connection refused") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
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
	if want := "socketeer: open " + filepath.Join(path, "below") + ": not a directory\n"; status != 1 || stdout != "" || stderr != want {
		t.Errorf("status %d, stdout %q, stderr %q; want %q", status, stdout, stderr, want)
	}
}

// Reports that were printed are compared on a page.
func TestBenchComparesReports(t *testing.T) {
	io, err := socketeer.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	bench.Mount(io)
	srv := httptest.NewServer(io)
	defer srv.Close()
	defer io.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	status, report, stderr := run(t, "bench", "--addr", srv.Listener.Addr().String(), "--mode", "echo", "--conns", "2", "--rate", "1k/s", "--duration", "100ms", "--warmup", "0s", "--json")
	if status != 0 {
		t.Fatalf("status %d, stderr %q", status, stderr)
	}
	before, after, again := write("before.json", report), write("after.json", report), write("again/after.json", report)
	page := filepath.Join(dir, "compared.html")
	if status, stdout, stderr := run(t, "bench", "page", before, after, again, "--html", page); status != 0 || stdout != "" {
		t.Fatalf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	shows(t, page, "3 runs compared", "Side by side", "</span>before</li>", "</span>after</li>", "</span>"+again+"</li>")
	if status, _, stderr := run(t, "bench", "page", before, "--html", page); status != 0 {
		t.Fatalf("status %d, stderr %q", status, stderr)
	}
	shows(t, page, "echo, 1,000/s asked for", "messages arrived, once and in order", "<pre>socketeer bench --addr", "--rate 1000", "Go "+strings.TrimPrefix(runtime.Version(), "go"))

	table := write("table.json", `{"rows": [{"row": 2, "report": {}}]}`)
	other := write("other.json", `{"results": []}`)
	large := write("large.json", `"`+strings.Repeat("x", 16<<20)+`"`)
	for want, args := range map[string][]string{
		"0 reports: takes 1 to 8":                   {"--html", page},
		"9 reports: takes 1 to 8":                   {"a", "b", "c", "d", "e", "f", "g", "h", "i", "--html", page},
		`required flag(s) "html"`:                   {before},
		"no such file":                              {filepath.Join(dir, "none"), "--html", page},
		"without a load, in " + table:               {table, "--html", page},
		"other.json: bench --json and bench deploy": {other, "--html", page},
		"table.json: bench --json and bench deploy": {table, before, "--html", page},
		"large.json: more than 16 MiB":              {large, "--html", page},
		"compared.html: invalid character":          {page, "--html", page},
		"compared.html/below: not a directory":      {before, "--html", filepath.Join(page, "below")},
	} {
		status, stdout, stderr := run(t, append([]string{"bench", "page"}, args...)...)
		if status == 0 || stdout != "" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("status %d, stdout %q, stderr %q; want one line with %q", status, stdout, stderr, want)
		}
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
		"broadcast to 20, ":             {"--mode", "broadcast", "--duration", "100ms", "--warmup", "0s"},
		"direct to one user, ":          {"--mode", "direct", "--to-user", "--duration", "100ms", "--warmup", "0s", "--drain", "0"},
		"20, fin":                       {"--mode", "storm", "--room", "10", "--settle", "0", "--reconnect-delay", "0", "--cut", "fin"},
		"18, by rst, every 0.100 s for": {"--mode", "drops", "--room", "10", "--drop-every", "100ms", "--drop-for", "10ms", "--messages", "20", "--message-every", "10ms", "--drain", "10ms", "--recover"},
	} {
		args = append([]string{"bench", "--addr", srv.Listener.Addr().String(), "--conns", "20"}, args...)
		if status, stdout, stderr := run(t, args...); status != 0 || !strings.Contains(stdout, want) {
			t.Errorf("%v: status %d, stderr %q, stdout\n%s", args, status, stderr, stdout)
		}
	}
}
