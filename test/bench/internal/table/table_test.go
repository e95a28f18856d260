package table_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/test/bench/internal/results"
	"github.com/socketeer-io/socketeer/test/bench/internal/stat"
	"github.com/socketeer-io/socketeer/test/bench/internal/table"
)

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00", 0.123: "0.12", 9.994: "9.99", 9.996: "10.0", 13.84: "13.8", 99.94: "99.9", 99.96: "100",
		1234: "1,234", 1234567.8: "1,234,568", -1234: "-1,234", -123: "-123",
	} {
		if got := table.Number(v); got != want {
			t.Errorf("%v: got %q, want %q", v, got, want)
		}
	}
}

func TestSummaries(t *testing.T) {
	five := stat.Summary{Median: 1.834, Min: 1.7, Max: 1.951, N: 5}
	for got, want := range map[string]string{
		table.Ratio(five):                               "1.83x (1.70..1.95)",
		table.Ratio(stat.Summary{Median: 2, N: 1}):      "2.00x",
		table.Ratio(stat.Summary{}):                     "-",
		table.Summary(five):                             "1.83 (1.70..1.95)",
		table.Summary(stat.Summary{Median: 1200, N: 1}): "1,200",
		table.Summary(stat.Summary{}):                   "-",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// example is an echo of two rounds, the second disturbed.
func example() *results.Results {
	r := &results.Results{
		Date: time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC), Machine: []string{"2 CPUs", "Linux 6"}, Rounds: 2, Seconds: 4, Scale: 0.5,
	}
	for round, figures := range [][2]float64{{2000, 1000}, {1500, 1000}} {
		for i, server := range []string{"ours", "uws"} {
			report := fmt.Sprintf(`{"load": {"per_second": %g, "missing": %d, "latency": {"p50_ms": 1, "p99_ms": 4},
				"server_cpu": {"per_message_us": %g, "cores": 1}, "generator_cpu": {"cores": 0.5}, "other_cores": %g}}`,
				figures[i], i, 20000/figures[i], float64(round)/2)
			r.Runs = append(r.Runs, results.Run{Scenario: "echo", Server: server, Round: round + 1, Report: json.RawMessage(report)})
		}
	}
	return r
}

const text = `echo: 250 connections, each sends and waits for the acknowledgement
  2 rounds                ours                   uws                    ours/uws
  messages/s              1,750 (1,500..2,000)   1,000 (1,000..1,000)   1.75x (1.50..2.00)
  server CPU, us/message  11.7 (10.0..13.3)      20.0 (20.0..20.0)      0.58x (0.50..0.67)
  p50, ms                 1.00 (1.00..1.00)      1.00 (1.00..1.00)      1.00x (1.00..1.00)
  p99, ms                 4.00 (4.00..4.00)      4.00 (4.00..4.00)      1.00x (1.00..1.00)
  server, cores           1.00 (1.00..1.00)      1.00 (1.00..1.00)
  load generator, cores   0.50 (0.50..0.50)      0.50 (0.50..0.50)
  other processes, cores  0.25 (0.00..0.50)      0.25 (0.00..0.50)
  faults, all rounds      none                   2 missing
  Disturbed: 1 round (2), in which other processes took more than 0.15 cores while a server was measured.
`

func TestText(t *testing.T) {
	var b strings.Builder
	r := example()
	r.Incomplete = "socketeer: uws died"
	if err := table.Text(&b, r); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	// Columns are padded: compare words.
	if words, want := strings.Fields(got), strings.Fields(text); len(words) < len(want) || strings.Join(words[:len(want)], " ") != strings.Join(want, " ") {
		t.Errorf("got\n%s\nwant\n%s", got, text)
	}
	for _, want := range []string{
		"targets: ratios of ours to the peer; scaled: connections and rates times 0.5",
		"1.75x (1.50..2.00)  2       met (not in all rounds)",
		"echo: throughput at least 3x ws",
		"2 of 2 measured targets met.",
		"INCOMPLETE, it ended early: uws died",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestMarkdown(t *testing.T) {
	var b strings.Builder
	if err := table.Markdown(&b, example()); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, want := range []string{
		"2026-11-25: 2 CPUs, Linux 6. Medians of 2 rounds, fewer where a table says so, with the extremes in brackets; loads of 4 s; scaled: connections and rates times 0.5. Ratios",
		"### echo\n\n250 connections, each",
		"| 2 rounds | ours | uws | ours/uws |\n|---|---|---|---|\n| messages/s | 1,750 (1,500..2,000) | 1,000 (1,000..1,000) | 1.75x (1.50..2.00) |\n",
		"| faults, all rounds | none | 2 missing |  |\n\nDisturbed: 1 round (2)",
		"| echo: throughput at least 1.6x uws | 1.75x (1.50..2.00) | 2 | met (not in all rounds) |\n",
		"| idle: memory at most 0.75x uws |  |  | not measured |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// A server of ours beside the first is compared with its own peer.
func TestAgainst(t *testing.T) {
	r := example()
	report := r.Runs[0].Report
	r.Runs = nil
	for _, name := range []string{"ours-recovery", "ws-streams-recovery", "ours-redis"} {
		r.Runs = append(r.Runs, results.Run{Scenario: "echo", Server: name, Round: 1, Report: report})
	}
	var b strings.Builder
	if err := table.Markdown(&b, r); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "| 1 round | ours-recovery | ours-recovery/ws-streams-recovery | ours-redis | ws-streams-recovery |\n"; !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
}

// Peers alone have nothing to be compared with.
func TestWithoutOurs(t *testing.T) {
	r := example()
	r.Runs = []results.Run{r.Runs[1], r.Runs[3]}
	var b strings.Builder
	if err := table.Text(&b, r); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); strings.Contains(got, "ours/") || !strings.Contains(got, "0 of 0 measured targets met.") {
		t.Errorf("got\n%s", got)
	}
}
