package session

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/socketeer-io/socketeer/test/bench/internal/scenario"
	"github.com/socketeer-io/socketeer/test/bench/internal/table"
)

// Progress tells a person how far a session is.
type Progress struct {
	// Out gets a line for each finished run.
	Out io.Writer
	// Live also shows what the current run does, in a line that is written
	// over again and again: for terminals.
	Live bool

	began     time.Time
	done, all int
}

// width is what fits a terminal: a longer line could not be written over.
const width = 79

// clearLine goes back to the beginning of a terminal's line, and empties it.
const clearLine = "\r\x1b[K"

func (p *Progress) begin(runs int) { p.began, p.all = time.Now(), runs }

// end removes what step has written.
func (p *Progress) end() {
	if p.Live {
		fmt.Fprint(p.Out, clearLine)
	}
}

// step shows what goes on.
func (p *Progress) step(s scenario.Scenario, what, detail string) {
	if !p.Live {
		return
	}
	line := fmt.Sprintf("%s %s, %s: %s", p.place(p.done+1), s.Name, what, strings.Join(strings.Fields(detail), " "))
	fmt.Fprintf(p.Out, "%s%s", clearLine, line[:min(len(line), width)])
}

// finished reports a run that has ended.
func (p *Progress) finished(s scenario.Scenario, what string, report *scenario.Report) {
	p.done++
	p.end()
	var figures []string
	for _, m := range s.Metrics() {
		if m.Compared {
			figures = append(figures, m.Name+" "+table.Number(m.Value(report)))
		}
	}
	if f := report.Faults(); f != (scenario.Faults{}) {
		figures = append(figures, f.String())
	}
	if report.Disturbed() {
		figures = append(figures, fmt.Sprintf("disturbed: other processes took %.2f cores", report.Others()))
	}
	fmt.Fprintf(p.Out, "%s %s, %s: %s%s\n", p.place(p.done), s.Name, what, strings.Join(figures, " | "), p.left())
}

func (p *Progress) place(run int) string { return fmt.Sprintf("[%d/%d]", run, p.all) }

// left estimates the time to the end from the time so far.
func (p *Progress) left() string {
	if p.done == p.all {
		return ""
	}
	left := time.Since(p.began) / time.Duration(p.done) * time.Duration(p.all-p.done)
	return fmt.Sprintf("  (about %v left)", left.Round(time.Second))
}
