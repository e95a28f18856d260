// Package benchpage shows reports of the load generator as an HTML page that
// needs nothing but itself: no script, no font, no image from elsewhere. It
// follows the reader's light or dark theme, fits a phone, and prints.
package benchpage

import (
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// Run is a report and what to call it.
type Run struct {
	// Name tells the run from others in a comparison. Default: the servers'
	// addresses.
	Name string
	// Report is the outcome; required.
	Report *loadgen.Report
}

//go:embed page.html
var source string

var page = template.Must(template.New("page").Parse(source))

// WriteHTML writes a page about one run, or one that compares several: with
// one curve for each.
func WriteHTML(w io.Writer, runs []Run) error {
	if len(runs) == 0 {
		return fmt.Errorf("socketeer: a page needs a run to show")
	}
	if err := whole(runs); err != nil {
		return err
	}
	if err := page.Execute(w, newView(runs)); err != nil {
		return fmt.Errorf("socketeer: writing the page: %w", err)
	}
	return nil
}

// view is what the page shows.
type view struct {
	Title    string
	Subtitle string
	Command  string // that made all runs
	Compared bool
	Notes    []string // of a sheet, as are its curves and tables
	Curves   []*chart
	Tables   []Table
	Runs     []runView
	Tiles    []tile     // of the only run
	Bars     []barChart // of several
	Charts   []*chart   // over time
	Got      *chart     // by clients that were away
	Summary  []summaryRow
	Colours  [colours]struct{}
	Delays   []delay
}

// Commanded reports whether there is a command to show.
func (v *view) Commanded() bool {
	return v.Command != "" || slices.ContainsFunc(v.Runs, func(r runView) bool { return r.Command != "" })
}

// runView is a run in the legend, and what is told of it apart.
type runView struct {
	Index int // of its colour
	Name  string
	origin
	Notes  []note
	Course steps
}

// origin is where a report comes from, as texts.
type origin struct{ Command, Started, Machine string }

func newOrigin(o *loadgen.Origin) origin {
	if o == nil {
		return origin{}
	}
	return origin{clean(o.Command), date(o.Started), clean(o.Machine.String())}
}

// steps are the table of a course.
type steps struct {
	Title   string
	Columns []string
	Rows    [][]string
}

// tile is a figure in large letters.
type tile struct{ Name, Value, Unit string }

// summaryRow has a value for each run.
type summaryRow struct {
	Name   string
	Values []string
}

func newView(runs []Run) *view {
	v := &view{Compared: len(runs) > 1}
	for i, run := range runs {
		v.Runs = append(v.Runs, newRunView(i, run))
	}
	if len(runs) == 0 {
		return v
	}
	v.Title = clean(runs[0].Report.Rows()[0].Value)
	v.Subtitle = strings.Join(nonEmpty(v.Runs[0].Started, v.Runs[0].Machine), " · ")
	if v.Compared {
		v.Title, v.Subtitle = v.comparison(runs)
		v.Bars = bars(runs, v.Runs)
	} else {
		v.Tiles = tiles(runs[0].Report)
	}
	v.Charts = charts(runs, v.Runs)
	v.Got = got(runs, v.Runs)
	v.Delays = delays(runs, v.Runs)
	v.Summary = summary(runs)
	return v
}

// comparison is the title of several runs, and what they share.
func (v *view) comparison(runs []Run) (title, subtitle string) {
	compared := fmt.Sprintf("%d runs compared", len(runs))
	title, machine := v.Title, v.Runs[0].Machine
	for i, run := range runs {
		if compared != "" && clean(run.Report.Rows()[0].Value) != title {
			title, compared = compared, ""
		}
		if v.Runs[i].Machine != machine {
			machine = ""
		}
	}
	return title, strings.Join(nonEmpty(compared, v.Runs[0].Started, machine), " · ")
}

func newRunView(i int, run Run) runView {
	v := runView{
		Index:  i % colours,
		Name:   clean(run.Name),
		origin: newOrigin(run.Report.Origin),
		Notes:  notes(run.Report),
	}
	if v.Name == "" {
		v.Name = clean(strings.Join(run.Report.Addrs, ", "))
	}
	v.Course = stepsOf(run.Report)
	return v
}

// column is one of the table of a course.
type column struct {
	name string
	of   func(loadgen.Second) float64
}

// stepsOf returns the table of a run's course. What was not measured is empty.
func stepsOf(r *loadgen.Report) steps {
	title := "Second by second"
	columns := []column{{"second", func(s loadgen.Second) float64 { return s.At }}}
	switch {
	case r.Storm != nil:
		title = "Step by step"
		columns = append(columns,
			column{"back", func(s loadgen.Second) float64 { return float64(s.Back) }},
			column{"returns/s", func(s loadgen.Second) float64 { return s.PerSecond }})
	case r.Load == nil:
		title = "Step by step"
		columns = append(columns,
			column{"connections", func(s loadgen.Second) float64 { return float64(s.Conns) }},
			column{"accepted/s", func(s loadgen.Second) float64 { return s.PerSecond }})
	default:
		columns = append(columns,
			column{"messages/s", func(s loadgen.Second) float64 { return s.PerSecond }},
			column{"p50, ms", positive(func(s loadgen.Second) float64 { return s.P50 })},
			column{"p99, ms", positive(func(s loadgen.Second) float64 { return s.P99 })})
		if len(withAway(r)) > 0 {
			columns = append(columns, column{"away", func(s loadgen.Second) float64 { return float64(s.Away) }})
		}
	}
	columns = append(columns,
		column{"server, cores", positive(func(s loadgen.Second) float64 { return s.ServerCores })},
		column{"server, MiB", positive(func(s loadgen.Second) float64 { return float64(s.ServerKiB) / 1024 })},
		column{"generator, cores", positive(func(s loadgen.Second) float64 { return s.GeneratorCores })})
	t := steps{Title: title}
	for _, c := range columns {
		t.Columns = append(t.Columns, c.name)
	}
	for _, s := range ofAny(r) {
		var row []string
		for _, c := range columns {
			text := ""
			if v := c.of(s); !math.IsNaN(v) {
				text = decimal(v)
			}
			row = append(row, text)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// summary lines up the rows of all reports. A row that a report does not have
// is empty for it.
func summary(runs []Run) []summaryRow {
	var rows []summaryRow
	at := map[string]int{}
	for i, run := range runs {
		for _, r := range run.Report.Rows() {
			k, ok := at[r.Name]
			if !ok {
				k = len(rows)
				at[r.Name] = k
				rows = append(rows, summaryRow{Name: clean(r.Name), Values: make([]string, len(runs))})
			}
			rows[k].Values[i] = clean(r.Value)
		}
	}
	return rows
}

// clean takes out of a text what no page may contain.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) || r == 0xfffe || r == 0xffff {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

func nonEmpty(list ...string) []string {
	var kept []string
	for _, s := range list {
		if s != "" {
			kept = append(kept, s)
		}
	}
	return kept
}
