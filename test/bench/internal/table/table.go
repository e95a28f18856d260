// Package table writes results for people, as text and as Markdown.
package table

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/socketeer-io/socketeer/test/bench/internal/results"
	"github.com/socketeer-io/socketeer/test/bench/internal/scenario"
	"github.com/socketeer-io/socketeer/test/bench/internal/server"
	"github.com/socketeer-io/socketeer/test/bench/internal/stat"
)

// section is a table with its heading and the notes below it. The first row
// is the header.
type section struct {
	name, title string
	rows        [][]string
	notes       []string
}

// Text writes r with aligned columns.
func Text(w io.Writer, r *results.Results) error { return write(w, r, section.text) }

// Markdown writes r as Markdown tables, with a line about the conditions.
func Markdown(w io.Writer, r *results.Results) error {
	_, err := fmt.Fprintf(w, "%s: %s. Medians of %s, fewer where a table says so, with the extremes in brackets; loads of %g s%s. Ratios are taken within each round.\n\n",
		r.Date.Format("2006-01-02"), strings.Join(r.Machine, ", "), plural(r.Rounds, "round"), r.Seconds, scaled(r.Scale))
	if err != nil {
		return err
	}
	return write(w, r, section.markdown)
}

func scaled(scale float64) string {
	if scale == 1 {
		return ""
	}
	return fmt.Sprintf("; scaled: connections and rates times %g", scale)
}

func write(w io.Writer, r *results.Results, render func(section) string) error {
	series, err := r.Series()
	if err != nil {
		return err
	}
	for _, s := range series {
		if _, err := io.WriteString(w, render(comparison(s))); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, render(verdicts(series, r)))
	return err
}

// comparison makes the table of one scenario: a row a metric, a column a
// server, and beside it a ratio: of ours to a peer, or of another server of
// ours to the peer that it is compared with.
func comparison(s *results.Series) section {
	sec := section{name: s.Scenario.Name, title: s.Scenario.Title()}
	header := []string{plural(s.Count(), "round")}
	pairs := pairs(s.Servers)
	for _, k := range s.Servers {
		header = append(header, k.Name)
		if p, ok := pairs[k.Name]; ok {
			header = append(header, p.ours+"/"+p.peer)
		}
	}
	sec.rows = append(sec.rows, header)
	for _, m := range s.Scenario.Metrics() {
		row := []string{m.Name}
		for _, k := range s.Servers {
			row = append(row, Summary(stat.Of(s.Rounds(k.Name, m))))
			if p, ok := pairs[k.Name]; ok {
				row = append(row, ratio(m, stat.Of(s.Rounds(p.ours, m).Ratios(s.Rounds(p.peer, m)))))
			}
		}
		sec.rows = append(sec.rows, row)
	}
	row := []string{"faults, all rounds"}
	for _, k := range s.Servers {
		row = append(row, s.Faults(k.Name).String())
		if _, ok := pairs[k.Name]; ok {
			row = append(row, "")
		}
	}
	sec.rows = append(sec.rows, row)
	if rounds := s.Disturbed(); len(rounds) > 0 {
		sec.notes = append(sec.notes, fmt.Sprintf("Disturbed: %s (%s), in which other processes took more than %g cores while a server was measured.",
			plural(len(rounds), "round"), join(rounds), scenario.DisturbedAbove))
	}
	return sec
}

// pair is a server of ours and the peer that it is compared with.
type pair struct{ ours, peer string }

// pairs returns the ratios to be told, by the server that they stand beside.
func pairs(servers []server.Kind) map[string]pair {
	here := map[string]bool{}
	for _, k := range servers {
		here[k.Name] = true
	}
	list := map[string]pair{}
	for _, k := range servers {
		switch {
		case k.Against != "":
			if here[k.Against] {
				list[k.Name] = pair{k.Name, k.Against}
			}
		case k.Name != server.Ours && here[server.Ours]:
			list[k.Name] = pair{server.Ours, k.Name}
		}
	}
	return list
}

// verdicts makes the table of the targets.
func verdicts(series []*results.Series, r *results.Results) section {
	sec := section{name: "targets", title: "ratios of ours to the peer" + scaled(r.Scale)}
	sec.rows = append(sec.rows, []string{"target", "ratio", "rounds", "verdict"})
	met, judged := 0, 0
	for _, t := range scenario.Targets() {
		row := []string{t.String(), "", "", scenario.Verdict{}.String()}
		for _, s := range series {
			if s.Scenario.Name != t.Scenario {
				continue
			}
			v, ratios := s.Judge(t)
			if !v.Measured {
				continue
			}
			text := v.String()
			if v.Why != "" {
				text += " (" + v.Why + ")"
			}
			row = []string{row[0], Ratio(ratios), strconv.Itoa(ratios.N), text}
			judged++
			if v.Met {
				met++
			}
		}
		sec.rows = append(sec.rows, row)
	}
	sec.notes = append(sec.notes, fmt.Sprintf("%d of %d measured targets met.", met, judged))
	if r.Incomplete != "" {
		sec.notes = append(sec.notes, "INCOMPLETE, it ended early: "+strings.TrimPrefix(r.Incomplete, "socketeer: "))
	}
	return sec
}

func ratio(m scenario.Metric, s stat.Summary) string {
	if !m.Compared {
		return ""
	}
	return Ratio(s)
}

// Ratio writes a summary of ratios: "1.83x (1.71..1.95)".
func Ratio(s stat.Summary) string {
	if s.N == 0 {
		return "-"
	}
	if s.N == 1 {
		return fmt.Sprintf("%.2fx", s.Median)
	}
	return fmt.Sprintf("%.2fx (%.2f..%.2f)", s.Median, s.Min, s.Max)
}

// Summary writes a summary: "52,310 (50,120..53,200)".
func Summary(s stat.Summary) string {
	if s.N == 0 {
		return "-"
	}
	if s.N == 1 {
		return Number(s.Median)
	}
	return fmt.Sprintf("%s (%s..%s)", Number(s.Median), Number(s.Min), Number(s.Max))
}

// Number writes three digits, more only before the point, where commas part
// the thousands.
func Number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.95:
		s := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
		for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	case a >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func (s section) text() string {
	var widths []int
	for _, row := range s.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", s.name, s.title)
	for _, row := range s.rows {
		var line strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&line, "  %-*s", widths[i], cell)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	for _, note := range s.notes {
		b.WriteString("  " + note + "\n")
	}
	return b.String() + "\n"
}

func (s section) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n%s.\n\n", s.name, capital(s.title))
	for i, row := range s.rows {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	for _, note := range s.notes {
		b.WriteString("\n" + note + "\n")
	}
	return b.String() + "\n"
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func join(numbers []int) string {
	var parts []string
	for _, n := range numbers {
		parts = append(parts, strconv.Itoa(n))
	}
	return strings.Join(parts, ", ")
}
