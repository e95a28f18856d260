package command_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/test/bench/internal/command"
	"github.com/socketeer-io/socketeer/test/bench/internal/need"
	"github.com/socketeer-io/socketeer/test/bench/internal/results"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMistakes(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"--rounds 0", "--rounds 0: takes 1 to 100"},
		{"--duration 1h", "takes up to 10m"},
		{"--scale 0", "--scale 0"},
		{"--scale 2", "at most 1"},
		{"--scale NaN", "--scale NaN"},
		{"--only echo,loud", `"loud" is none of idle, echo`},
		{"--servers ours,deno", `"deno" is none of ours, `},
		{"--loud", "-loud"},
		{"echo", `"echo" is no flag`},
		{"--only idle --servers ws-redis", "none of the servers takes part"},
		{"--from /nonexistent", "no reports"},
		{"--socketeer /nonexistent", "run make build"},
	} {
		err := command.Run(t.Context(), strings.Fields(tt.args), io.Discard, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), "socketeer: ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q in it", tt.args, err, tt.want)
		}
	}
}

func TestHelp(t *testing.T) {
	var help bytes.Buffer
	if err := command.Run(t.Context(), []string{"--help"}, &help, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("error %v", err)
	}
	for _, want := range []string{"Usage:", "Examples:", "--only scenarios", "(default 5)", "(default 2s)", "0.15 cores"} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("no %q in\n%s", want, help.String())
		}
	}
}

func TestList(t *testing.T) {
	var out bytes.Buffer
	if err := command.Run(t.Context(), []string{"--list"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"cluster-pairs  3 nodes, 6,000 connections in rooms of 2, 6,000 deliveries/s",
		"on ours, uws-redis, ws-redis, ws-streams",
		"uws            socket.io on uWebSockets.js\n",
		"echo: CPU per message at most 0.6x uws\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// The whole way: servers, loads, tables and files.
func TestCompare(t *testing.T) {
	dir := t.TempDir()
	reports, markdown := filepath.Join(dir, "all.json"), filepath.Join(dir, "all.md")
	tools := need.Peers(t)
	var out, told bytes.Buffer
	err := command.Run(t.Context(), []string{
		"--socketeer", tools.Socketeer, "--peers", tools.Peers, "--servers", "ours,ws", "--rounds", "1", "--duration", "500ms",
		"--only", "echo,idle", "--scale", "0.1", "--json", reports, "--markdown", markdown,
	}, &out, &told)
	stdout, progress := out.String(), told.String()
	if err != nil {
		t.Fatalf("%v\n%s", err, progress)
	}
	for _, want := range []string{
		"echo: 50 connections", "idle: 1,000 connections", "ours/ws", "messages/s", "memory, KiB/connection",
		"idle: memory at most 0.75x uws", "of 1 measured targets met.",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	for _, want := range []string{"[1/6] idle, ours, round 1 of 1: memory", "[4/6] echo, ws, warm-up: messages/s", "[6/6] echo, ws, round 1 of 1: "} {
		if !strings.Contains(progress, want) {
			t.Errorf("no %q in\n%s", want, progress)
		}
	}
	r, err := results.Load(reports)
	if err != nil {
		t.Fatal(err)
	}
	series, err := r.Series()
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) != 4 || len(series) != 2 || r.Incomplete != "" {
		t.Errorf("%d runs of %d scenarios, incomplete: %q", len(r.Runs), len(series), r.Incomplete)
	}
	for _, s := range series {
		for _, k := range s.Servers {
			if f := s.Faults(k.Name); !f.Complete() {
				t.Errorf("%s on %s: %v", s.Scenario.Name, k.Name, f)
			}
			for _, m := range s.Scenario.Metrics() {
				if v := s.Rounds(k.Name, m)[1]; m.Compared && v == 0 {
					t.Errorf("%s on %s: %s is 0", s.Scenario.Name, k.Name, m.Name)
				}
			}
		}
	}
	if b, err := os.ReadFile(markdown); err != nil || !strings.Contains(string(b), "| messages/s | ") {
		t.Errorf("Markdown: %v\n%s", err, b)
	}
	fromFile(t, reports, stdout)
}

// Scenarios in which clients come back, one of them with servers that the load
// generator starts.
func TestCompareReturns(t *testing.T) {
	tools := need.Cluster(t)
	var out, told bytes.Buffer
	err := command.Run(t.Context(), []string{
		"--socketeer", tools.Socketeer, "--peers", tools.Peers, "--servers", "ours,ours-recovery,ws,ws-recovery,ws-redis", "--rounds", "1", "--duration", "250ms",
		"--only", "storm,drops,direct,deploy", "--scale", "0.02",
	}, &out, &told)
	stdout, progress := out.String(), told.String()
	if err != nil {
		t.Fatalf("%v\n%s", err, progress)
	}
	for _, want := range []string{
		"storm: 200 connections", "all back after, s", "drops: 20 connections in one room", "ours/ws-recovery", "missed, %",
		"direct: 3 nodes, 12 connections", "deploy: 3 nodes, 60 connections", "ours/ws-redis", "gap p99, ms",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	for _, want := range []string{"[4/15] storm, ws, round 1 of 1: ", "[8/15] drops, ws-recovery, round 1 of 1: ", "[15/15] deploy, ws-redis, round 1 of 1: "} {
		if !strings.Contains(progress, want) {
			t.Errorf("no %q in\n%s", want, progress)
		}
	}
}

// fromFile makes sure that kept reports give the tables that were printed.
func fromFile(t *testing.T, reports, want string) {
	t.Helper()
	var again bytes.Buffer
	if err := command.Run(t.Context(), []string{"--from", reports}, &again, io.Discard); err != nil {
		t.Fatal(err)
	}
	if again.String() != want {
		t.Errorf("got\n%s\nwant\n%s", again.String(), want)
	}
	again.Reset()
	if err := command.Run(t.Context(), []string{"--from", reports, "--only", "echo"}, &again, io.Discard); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(again.String(), "idle: 1,000") {
		t.Errorf("idle was not asked for:\n%s", again.String())
	}
}

// cancelAt ends a context when a text is printed.
type cancelAt struct {
	text   string
	cancel context.CancelCauseFunc
	why    error
}

func (c *cancelAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.text) {
		c.cancel(c.why)
	}
	return len(p), nil
}

// What was measured before an interruption is printed, and no process stays:
// goleak sees who would wait for it.
func TestInterrupted(t *testing.T) {
	tools := need.Peers(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("socketeer: enough")
	var out bytes.Buffer
	err := command.Run(ctx, []string{
		"--socketeer", tools.Socketeer, "--peers", tools.Peers, "--servers", "ours,ws", "--duration", "300ms", "--only", "echo", "--scale", "0.1",
	}, &out, &cancelAt{"ours, round 1 of 5", cancel, why})
	if !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
	for _, want := range []string{"echo: 50 connections", "INCOMPLETE, it ended early: enough"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
