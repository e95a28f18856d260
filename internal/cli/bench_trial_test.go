package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/socketeer-io/socketeer/internal/loadgen"
	"github.com/socketeer-io/socketeer/internal/trial"
)

func TestBenchTrialsRefuse(t *testing.T) {
	for want, args := range map[string][]string{
		"--row 5: there are 1 to 4":            {"bench", "table", "--row", "5"},
		"--scale 2: a fraction":                {"bench", "table", "--scale", "2"},
		"no capacity model":                    {"bench", "table", "--model", "/nonexistent"},
		"times to run":                         {"bench", "table", "--duration", "-1s"},
		"--duration 0s and --warmup 2s: times": {"bench", "table", "--duration", "0s"},
		"--payload 0: takes 32 to 16384":       {"bench", "model", "--payload", "0"},
		"--payload 5: takes":                   {"bench", "deploy", "--payload", "5"},
		"--processes 65: takes 1 to 64":        {"bench", "growth", "--processes", "65"},
		"socketeer: open /nonexistent/table":   {"bench", "table", "--markdown", "/nonexistent/table.md"},
		"no {port}":                            {"bench", "table", "--row", "1", "--scale", "1", "--serve", " "},
		"--adapter redis: takes nats or mesh":  {"bench", "growth", "--adapter", "redis"},
		"0 % of the connections on polling":    {"bench", "table", "--model", "testdata/model.json", "--polling", "5%"},
		"joined by mesh, not nats":             {"bench", "table", "--model", "testdata/mesh-model.json"},
		"--strength 0":                         {"bench", "model", "--strength", "0"},
		"--nodes 65: takes 1 to 64":            {"bench", "growth", "--nodes", "65"},
		"--keep-nodes 65: takes 1 to 64":       {"bench", "growth", "--keep-nodes", "65"},
		"a room has 100 members":               {"bench", "growth", "--conns", "99"},
		"want a rate, and connections":         {"bench", "growth", "--rate", "0"},
		"--every 0s, --drain 2s: times":        {"bench", "deploy", "--every", "0s"},
		"--rate 0: a deployment":               {"bench", "deploy", "--rate", "0"},
		"socketeer bench deploy":               {"bench", "--mode", "deploy", "--addr", "127.0.0.1:1"},
		"unknown command \"more\" for":         {"bench", "growth", "more"},
		"no share of a run to work on: EOF":    {"bench", "worker"},
		"ended: exit status 1; it printed no":  {"bench", "model", "--serve", "false {port}"},
	} {
		status, stdout, stderr := run(t, args...)
		if status == 0 {
			t.Errorf("%q: status 0, stdout %q", args, stdout)
		}
		if !strings.Contains(stderr, want) {
			t.Errorf("%q: want %q, got %q", args, want, stderr)
		}
	}
}

func TestBenchTable(t *testing.T) {
	t.Setenv(asCommand, "1") // what the command starts shall be the command
	markdown, page := filepath.Join(t.TempDir(), "table.md"), filepath.Join(t.TempDir(), "table.html")
	status, stdout, stderr := run(t, "bench", "table", "--row", "1", "--scale", "0.02", "--model", "testdata/model.json",
		"--markdown", markdown, "--html", page, "--duration", "200ms", "--warmup", "0s", "--json")
	var r trial.TableReport
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || status != 0 {
		t.Fatalf("status %d, stderr %q, %v in\n%s", status, stderr, err, stdout)
	}
	if len(r.Rows) != 1 || r.Rows[0].Run.Conns != 200 || r.Rows[0].Report == nil || r.Rows[0].Report.Load.Received == 0 {
		t.Errorf("%+v", r.Rows)
	}
	shows(t, page, "socketeer bench table --row 1 --scale 0.02", "200 of 10,000", "Its coefficients", "the check: not fitted on", "connections accepted")
	if b, err := os.ReadFile(markdown); err != nil || !strings.Contains(string(b), "| 200 of 10,000") {
		t.Errorf("%v in\n%s", err, b)
	}
	if !strings.Contains(stderr, "row 1: 200 connections") {
		t.Errorf("progress %q", stderr)
	}
}

// A row that fails is in the table, and in the file for it, and the exit
// status tells.
func TestBenchTableRowThatFails(t *testing.T) {
	markdown := filepath.Join(t.TempDir(), "table.md")
	status, stdout, stderr := run(t, "bench", "table", "--row", "1", "--scale", "1", "--serve", "false {port}", "--markdown", markdown)
	const why = "failed: server 1 ended: exit status 1"
	if status != 1 || !strings.Contains(stdout, why) || !strings.Contains(stderr, "socketeer: row 1 "+why) {
		t.Errorf("status %d, stderr %q, stdout\n%s", status, stderr, stdout)
	}
	if b, err := os.ReadFile(markdown); err != nil || !strings.Contains(string(b), why) {
		t.Errorf("%v in\n%s", err, b)
	}
	// A file that cannot be written after all does not take the table along.
	status, stdout, stderr = run(t, "bench", "table", "--row", "1", "--scale", "1", "--serve", "false {port}", "--markdown", "/dev/full")
	if status != 1 || !strings.Contains(stdout, why) || !strings.Contains(stderr, "no space left") {
		t.Errorf("status %d, stderr %q, stdout\n%s", status, stderr, stdout)
	}
}

// shows checks what a page says.
func shows(t *testing.T, path string, parts ...string) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range parts {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page says nothing of %q", want)
		}
	}
}

func TestBenchGrowth(t *testing.T) {
	t.Setenv(asCommand, "1")
	page := filepath.Join(t.TempDir(), "growth.html")
	status, stdout, stderr := run(t, "bench", "growth", "--nodes", "1,2", "--conns", "40", "--keep-nodes", "1", "--keep-conns", "40", "--room", "10", "--rate", "1000",
		"--duration", "200ms", "--warmup", "100ms", "--polling", "25%", "--html", page, "--json")
	var r trial.GrowthReport
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || status != 0 {
		t.Fatalf("status %d, stderr %q, %v in\n%s", status, stderr, err, stdout)
	}
	for _, p := range append(r.Nodes.Points, r.Conns.Points...) {
		if p.Polling != 0.25 || p.Report.Polling == nil || p.Report.Polling.Conns != 10 {
			t.Errorf("on polling: %+v of %+v", p.Report.Polling, p.Load)
		}
	}
	shows(t, page, "socketeer bench growth --nodes 1,2", "Server CPU per delivery", "µs, over nodes", "µs, over connections", "2 nodes: ", "25 % on polling")
}

func TestBenchDeploy(t *testing.T) {
	t.Setenv(asCommand, "1")
	for nodes, how := range map[string]string{"1": "--drain=100ms", "2": "--kill"} {
		status, stdout, stderr := run(t, "bench", "deploy", how, "--nodes", nodes, "--conns", "40", "--room", "10", "--rate", "400",
			"--every", "500ms", "--warmup", "100ms", "--processes", nodes, "--json")
		var r loadgen.Report
		if err := json.Unmarshal([]byte(stdout), &r); err != nil || status != 0 || r.Deploy == nil {
			t.Fatalf("%s: status %d, stderr %q, %v in\n%s", how, status, stderr, err, stdout)
		}
		d := r.Deploy
		if fmt.Sprint(max(1, r.Processes)) != nodes || fmt.Sprint(d.Servers) != nodes || d.Kill != (how == "--kill") || d.Fallen == 0 || d.Delivered == 0 {
			t.Errorf("%s: %+v", how, d)
		}
		if l := r.Load; r.Memory == nil || r.Memory.AfterKiB <= 0 || l.Server == nil || l.Server.PerMessageMicros <= 0 {
			t.Errorf("%s: nothing of the servers: memory %+v, CPU %+v", how, r.Memory, l.Server)
		}
		if !strings.Contains(stderr, "| server ") {
			t.Errorf("%s: progress says nothing of the servers: %q", how, stderr)
		}
		if fmt.Sprint(strings.Count(stderr, "replaced server")) != nodes {
			t.Errorf("%s: progress %q", how, stderr)
		}
	}
}

// Processes beside the servers are read, too: one that is not there is an error.
func TestBenchDeployReadsOthers(t *testing.T) {
	t.Setenv(asCommand, "1")
	status, _, stderr := run(t, "bench", "deploy", "--nodes", "1", "--pid", "1073741824")
	if status == 0 || !strings.Contains(stderr, "no process 1073741824 to measure") {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

// With recovery on, clients miss nothing of what is sent while nodes are
// drained and replaced, and each attempt to come back succeeds.
func TestBenchDeployRecovers(t *testing.T) {
	t.Setenv(asCommand, "1")
	status, stdout, stderr := run(t, "bench", "deploy", "--recover", "--adapter", "mesh", "--nodes", "2", "--conns", "40", "--room", "10", "--rate", "400",
		"--every", "500ms", "--drain", "10s", "--warmup", "500ms", "--json")
	var r loadgen.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || status != 0 || r.Deploy == nil || r.Load == nil {
		t.Fatalf("status %d, stderr %q, %v in\n%s", status, stderr, err, stdout)
	}
	d := r.Deploy
	// The run may end when the last message has arrived, which is before the
	// client is told that it is back.
	if d.Fallen == 0 || d.Failed != 0 || !d.Recover || d.Recovered != d.Returned || d.Returned == 0 {
		t.Errorf("of %d lost %d came back and %d recovered; %d attempts failed: %s", d.Fallen, d.Returned, d.Recovered, d.Failed, d.FailedWhy)
	}
	if d.Delivered != d.Expected || d.Whole != 40 || r.Load.Duplicated != 0 || r.Load.Misordered != 0 {
		t.Errorf("%d of %d delivered, %d clients missed nothing; %d twice, %d out of order", d.Delivered, d.Expected, d.Whole, r.Load.Duplicated, r.Load.Misordered)
	}
}

func TestBenchTrialInterrupted(t *testing.T) {
	p := command(t, nil, "bench", "table", "--row", "2", "--scale", "0.002", "--duration", "1h", "--model", "testdata/model.json")
	p.sees(t, 1, "measure")
	servers := children(t, p.Process.Pid)
	if len(servers) != 3 {
		t.Errorf("%d servers", len(servers))
	}
	p.signal(t, os.Interrupt)
	if status := p.status(t); status != 1 || !strings.Contains(p.out.String(), "socketeer: interrupted") {
		t.Errorf("status %d:\n%s", status, p.out)
	}
	for _, pid := range servers {
		if syscall.Kill(pid, 0) == nil {
			t.Errorf("server %d is left", pid)
		}
	}
}

// children are the processes that a process has started, from any of its
// threads.
func children(t *testing.T, pid int) (pids []int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, _ := os.ReadFile(f) // a thread may have ended
		for _, word := range strings.Fields(string(b)) {
			n, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, n)
		}
	}
	return pids
}
