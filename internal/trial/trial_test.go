package trial_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/internal/benchpage"
	"github.com/socketeer-io/socketeer/internal/capacity"
	"github.com/socketeer-io/socketeer/internal/cli"
	"github.com/socketeer-io/socketeer/internal/fleet"
	"github.com/socketeer-io/socketeer/internal/trial"
)

// maxFiles is how many files the servers may open, in the environment.
const maxFiles = "TRIAL_TEST_FILES"

// TestMain lets the test binary be the servers, and processes of the load.
func TestMain(m *testing.M) {
	if n, err := strconv.ParseUint(os.Getenv(maxFiles), 10, 64); err == nil && len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			panic(err)
		}
	}
	if len(os.Args) > 1 && (os.Args[1] == "serve" || os.Args[1] == "bench") {
		os.Exit(cli.Main(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

func short() trial.Setup {
	return trial.Setup{
		Duration: 200 * time.Millisecond, Warmup: 50 * time.Millisecond,
		Worker: []string{os.Args[0], "bench", "worker"},
	}
}

// known is a model like this machine's.
func known() *trial.ModelReport {
	m := capacity.Model{
		NodeCores: 0.01, Delivery: 4, Send: 20, Crossing: 20, GeneratorDelivery: 2, GeneratorSend: 4,
		NodeKiB: 20_000, ConnectionKiB: 5,
	}
	l := capacity.Load{Nodes: 3, Conns: 2000, Room: 50, Deliveries: 12_000}
	return &trial.ModelReport{Formula: capacity.Formula, Model: m, Check: m.Check(capacity.Run{Load: l, Need: m.Predict(l)})}
}

func TestTable(t *testing.T) {
	var lines []string
	s := short()
	s.Progress = func(line string) { lines = append(lines, line) }
	s.Processes = 2
	r, err := trial.RunTable(t.Context(), s, trial.TableOptions{Rows: []int{1, 2}, Scale: 0.02, Model: known()})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 2 || len(lines) == 0 {
		t.Fatalf("%d rows, progress %q", len(r.Rows), lines)
	}
	for i, want := range []capacity.Load{
		{Nodes: 1, Conns: 200, Room: 100, Deliveries: 1000},
		{Nodes: 3, Conns: 1000, Room: 100, Deliveries: 3000},
	} {
		row := r.Rows[i]
		if row.Run != want || row.Error != "" || row.Report == nil || row.Need == nil || row.Need.ServerCores < 0.2 || row.Check == nil {
			t.Errorf("row %+v, want %+v", row, want)
			continue
		}
		l := row.Report.Load
		// On a busy machine, what is sent in so short a time arrives behind it.
		if c := row.Check; c.ServerCores != l.Server.Cores || c.Deliveries != l.PerSecond || c.Predicted != known().Model.Predict(c.Load) {
			t.Errorf("beside the model's: %+v", c)
		}
		if l.Received == 0 || l.Missing != 0 || row.Report.Processes != 2 || l.Messages > 0 && l.Server.PerMessageMicros <= 0 {
			t.Errorf("load %+v", l)
		}
	}
	var table, markdown strings.Builder
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteMarkdown(&markdown); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"200 of 10,000 (scaled by 0.020)", "1,000 of 50,000", "15 ms", "the scale asked for", "predicted / measured", fmt.Sprintf("/ %.2f (", r.Rows[1].Check.ServerCores), "generator", "off by +0 %"} {
		if !strings.Contains(table.String(), want) || !strings.Contains(markdown.String(), want) {
			t.Errorf("no %q in\n%s\n%s", want, table.String(), markdown.String())
		}
	}
	again(t, r, new(trial.TableReport))
	page(t, r.Sheet(), "The table by which the field compares", "200 of 10,000", "row 1", "row 2", "Side by side", "the check: not fitted on", "connmem", "the capacity model&#39;s")
}

// page checks what a page about a sheet says.
func page(t *testing.T, s benchpage.Sheet, parts ...string) {
	t.Helper()
	var b strings.Builder
	if err := benchpage.WriteSheet(&b, s); err != nil {
		t.Fatal(err)
	}
	for _, want := range parts {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page says nothing of %q", want)
		}
	}
}

// again checks that a report comes back from its JSON form.
func again(t *testing.T, r, into any) {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if sheet, ok := r.(interface{ Sheet() benchpage.Sheet }); ok {
		if read, err := trial.ReadSheet(b); err != nil || !reflect.DeepEqual(read, sheet.Sheet()) {
			t.Errorf("its page is %+v, %v", read, err)
		}
	}
	if err := json.Unmarshal(b, into); err != nil || !reflect.DeepEqual(r, into) {
		t.Errorf("%v: %s", err, b)
	}
}

// A row that fails does so alone, and what all of it needs is looked for in
// vain when no run for a model succeeds either.
func TestTableRowThatFails(t *testing.T) {
	s := short()
	s.Serve = "false {port}"
	r, err := trial.RunTable(t.Context(), s, trial.TableOptions{Rows: []int{1, 2}, Scale: 1})
	if err != nil {
		t.Fatal(err)
	}
	const why = "server 1 ended: exit status 1; it printed nothing"
	if err := r.Failed(); err == nil || !strings.HasPrefix(err.Error(), "socketeer: row 1 failed: "+why+"; row 2 failed: server ") {
		t.Errorf("failed: %v", err)
	}
	if r.NoModel != why || r.Model != nil {
		t.Errorf("model %+v: %s", r.Model, r.NoModel)
	}
	var table strings.Builder
	if err := r.WriteTable(&table); err != nil || !strings.Contains(table.String(), "failed: server 1 ended: exit status 1") {
		t.Errorf("%v in\n%s", err, table.String())
	}
	if r.Rows[0].Met() {
		t.Error("met")
	}
	page(t, r.Sheet(), "failed: server 1 ended")
	r, err = trial.RunTable(t.Context(), s, trial.TableOptions{Rows: []int{2}, Scale: 1, Model: known()})
	if err != nil || r.Rows[0].Need == nil || *r.Rows[0].Need != known().Model.Predict(trial.Rows()[1].Load) || r.Rows[0].Check != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// However short the runs of a table are, those of its model measure something.
func TestQuick(t *testing.T) {
	for _, tt := range []struct{ duration, warmup, wantDuration, wantWarmup time.Duration }{
		{10 * time.Second, 2 * time.Second, 4 * time.Second, 2 * time.Second},
		{10 * time.Second, 0, time.Second, 0},
		{500 * time.Millisecond, 2 * time.Second, time.Second, 500 * time.Millisecond},
		{3 * time.Second, 10 * time.Second, 3 * time.Second, 3 * time.Second},
	} {
		q := trial.Quick(trial.Setup{Duration: tt.duration, Warmup: tt.warmup})
		if q.Duration != tt.wantDuration || q.Warmup != tt.wantWarmup {
			t.Errorf("%v after %v becomes %v after %v", tt.duration, tt.warmup, q.Duration, q.Warmup)
		}
	}
}

func TestModel(t *testing.T) {
	r, err := trial.FitModel(t.Context(), short(), 0.1)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) < 6 || r.Model.Delivery+r.Model.Send+r.Model.NodeCores <= 0 || r.Check.ServerCores <= 0 || r.Check.Predicted.ServerCores <= 0 {
		t.Errorf("%+v", r)
	}
	var table strings.Builder
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	page(t, r.Sheet(), "CPU of the servers", "cores, over runs", "predicted", "the check: not fitted on", "of 9 runs", "connmem",
		"server cores    = node * nodes &#43; held * connections &#43; delivery")
	for _, want := range []string{"server cores", "crossing", "connmem", "not fitted on"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, table.String())
		}
	}
}

// A server that is a child of the command takes no CPU time that is seen: that
// ends a model with its first run.
func TestModelOfNothing(t *testing.T) {
	script := filepath.Join(t.TempDir(), "server")
	text := "#!/bin/sh\n'" + os.Args[0] + "' serve --app bench --admin-addr off --log-level error --addr 127.0.0.1:$1 &\nwait\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	s, runs := short(), 0
	s.Serve = script + " {port}"
	s.Progress = func(line string) {
		if strings.HasPrefix(line, "model, run") {
			runs++
		}
	}
	_, err := trial.FitModel(t.Context(), s, 0.1)
	if err == nil || !strings.Contains(err.Error(), "run 1 of a capacity model has measured no CPU time of the servers in 200ms") || runs != 1 {
		t.Errorf("after %d runs: %v", runs, err)
	}
}

func TestReadModel(t *testing.T) {
	file := filepath.Join(t.TempDir(), "model.json")
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(known())
	if err != nil {
		t.Fatal(err)
	}
	write(b)
	if r, err := trial.ReadModel(file); err != nil || !reflect.DeepEqual(r, known()) {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{"", "{}", "[]", `{"model":{"delivery_us":8}}`} {
		write([]byte(bad))
		if _, err := trial.ReadModel(file); err == nil || !strings.HasPrefix(err.Error(), "socketeer: no capacity model") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := trial.ReadModel(file + ".not"); err == nil {
		t.Error("no error")
	}
}

func TestGrow(t *testing.T) {
	t.Setenv(maxFiles, "200")
	o := trial.GrowthOptions{Nodes: []int{1, 2}, Conns: []int{20, 40, 500, 1000}, KeepNodes: 1, KeepConns: 40, Room: 10, Rate: 1000}
	r, err := trial.Grow(t.Context(), short(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Nodes.Points) != 2 || len(r.Conns.Points) != 3 || !strings.Contains(r.Conns.Stopped, "500 connections need 564 open files") {
		t.Fatalf("%+v", r)
	}
	if last := r.Conns.Points[2]; last.Conns != 130 {
		t.Errorf("the last run had %d connections", last.Conns)
	}
	for _, p := range append(r.Nodes.Points, r.Conns.Points...) {
		if p.DeliveryMicros <= 0 || p.Report.Load.Missing != 0 {
			t.Errorf("%+v", p.Load)
		}
	}
	var table strings.Builder
	if err := r.WriteTable(&table); err != nil || strings.Count(table.String(), "CPU per delivery") != 2 {
		t.Errorf("%v in\n%s", err, table.String())
	}
	again(t, r, new(trial.GrowthReport))
	page(t, r.Sheet(), "Server CPU per delivery", "µs, over nodes", "µs, over connections", "Over nodes: 40 connections, 1,000 deliveries/s in rooms of 10",
		"Over connections: 1 server(s), 1,000 deliveries/s", "The curve over connections ends: the limit on open files", "130 connections: ", "against the first")
}

// All points of the curve over connections have the same nodes, and what does
// not go on ends a curve without the other's being lost.
func TestGrowEndsCurves(t *testing.T) {
	o := trial.GrowthOptions{Nodes: []int{1, fleet.MaxNodes + 1}, Conns: []int{100, 1000, 1e9}, KeepNodes: 2, KeepConns: 40, Room: 10, Rate: 1000}
	r, err := trial.Grow(t.Context(), short(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Nodes.Points) != 1 || r.Nodes.Stopped != "65 servers: takes 1 to 64" {
		t.Errorf("over nodes %+v", r.Nodes)
	}
	if len(r.Conns.Points) != 2 || !strings.HasPrefix(r.Conns.Stopped, "memory stops this: 1,000,000,000 connections on 2 server(s) would take") {
		t.Errorf("over connections %+v", r.Conns)
	}
	for _, p := range r.Conns.Points {
		if p.Nodes != 2 || len(p.Report.Addrs) != 2 || p.Report.Load.Missing != 0 {
			t.Errorf("%+v on %q", p.Load, p.Report.Addrs)
		}
	}
	if _, err := trial.Grow(t.Context(), short(), trial.GrowthOptions{Nodes: []int{fleet.MaxNodes + 1}, KeepConns: 40, Room: 10, Rate: 1000}); err == nil {
		t.Error("no run, and no error")
	}
}

// Without a number of nodes for the curve over connections, there are as many
// as may open files for its largest point, from the first point on.
func TestGrowOnFewestNodes(t *testing.T) {
	machine, err := trial.ThisMachine()
	if err != nil {
		t.Fatal(err)
	}
	// Above what the servers may open here, so that the second run does not start.
	most := 2 * int(min(machine.Files, 1<<20))
	t.Setenv(maxFiles, "200")
	r, err := trial.Grow(t.Context(), short(), trial.GrowthOptions{Conns: []int{20, most}, Room: 10, Rate: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.Conns.Points); n != 2 || r.Conns.Points[0].Nodes != machine.Nodes(most) || r.Conns.Points[1].Nodes != machine.Nodes(most) {
		t.Errorf("%d points: %+v", n, r.Conns)
	}
}
