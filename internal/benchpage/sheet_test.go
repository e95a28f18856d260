package benchpage_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/benchpage"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

func sheet(t *testing.T, s benchpage.Sheet) (elements []element, text string) {
	t.Helper()
	var b bytes.Buffer
	if err := benchpage.WriteSheet(&b, s); err != nil {
		t.Fatal(err)
	}
	return parse(t, &b)
}

// growing is a sheet with a curve over factors, one over steps, and a table.
func growing() benchpage.Sheet {
	return benchpage.Sheet{
		Title: "Growth", Origin: &loadgen.Origin{Command: "socketeer bench growth", Machine: machine, Started: time.Date(2026, 11, 26, 10, 30, 0, 0, time.UTC)},
		Notes: []string{"The curve ends early."},
		Curves: []benchpage.Curve{
			{Title: "CPU per delivery", Unit: "µs", Over: "connections", Log: true, Lines: []benchpage.Line{{
				Points: []benchpage.Point{{1000, 8.25}, {2000, 8.5}, {4000, 9}, {8000, 9.5}, {50_000, 10.25}},
			}}},
			{Title: "Cores", Unit: "cores", Over: "runs", Lines: []benchpage.Line{
				{Name: "measured", Points: []benchpage.Point{{1, 0.5}, {2, 0.75}}},
				{Name: "predicted", Points: []benchpage.Point{{1, 0.51}, {2, 0.74}}},
			}},
		},
		Tables: []benchpage.Table{{Title: "Runs", Columns: []string{"connections", "CPU"}, Rows: [][]string{{"1,000", "8.25 us"}, {"2,000", "8.50 us"}}}},
	}
}

func TestSheet(t *testing.T) {
	elements, text := sheet(t, growing())
	selfContained(t, elements, text)
	placed(t, elements)
	contains(t, text, "26 November 2026, 10:30 UTC · 2 cores EPYC", "socketeer bench growth", "The curve ends early.",
		"µs, over connections", "50k connections: 10.2 µs", "8.50 us", "measured", "predicted")
	if got := texts(elements, "h1"); !slices.Equal(got, []string{"Growth"}) {
		t.Errorf("title %q", got)
	}
	if got, want := texts(elements, "h2"), []string{"Runs", "Command"}; !slices.Equal(got, want) {
		t.Errorf("chapters %q, want %q", got, want)
	}
	if got, want := texts(elements, "figcaption"), []string{"CPU per delivery", "Cores"}; !slices.Equal(got, want) {
		t.Errorf("charts %q, want %q", got, want)
	}
	if got := count(elements, "circle", "dot"); got != 5+4 {
		t.Errorf("%d points", got)
	}
	if got := count(elements, "td", ""); got != 4 {
		t.Errorf("%d cells", got)
	}
	var labels []string
	for _, e := range elements {
		if e.name == "text" && e.attrs["class"] == "value" {
			labels = append(labels, e.text)
		}
	}
	if want := []string{"8.25 µs", "8.50 µs", "9.00 µs", "9.50 µs", "10.2 µs"}; !slices.Equal(labels, want) {
		t.Errorf("values %q, want %q", labels, want)
	}
	// Twice as many connections are as far apart everywhere.
	var at []float64
	for _, e := range elements {
		if e.name == "circle" && len(at) < 4 {
			x, err := strconv.ParseFloat(e.attrs["cx"], 64)
			if err != nil {
				t.Fatal(err)
			}
			at = append(at, x)
		}
	}
	if first, last := at[1]-at[0], at[3]-at[2]; first < 10 || last-first > 0.2 || first-last > 0.2 {
		t.Errorf("points at %v", at)
	}
}

// Runs stand below what was found by all of them.
func TestSheetWithRuns(t *testing.T) {
	s := growing()
	for i, want := range [][]string{
		{"Runs", "Course", "Latency", "Summary", "Command"},
		{"Runs", "Side by side", "Course", "Latency", "Summary", "Command"},
	} {
		s.Runs = append(s.Runs, benchpage.Run{Name: fmt.Sprint("row ", i+1), Report: paced(5, 1)})
		elements, text := sheet(t, s)
		placed(t, elements)
		if got := texts(elements, "h2"); !slices.Equal(got, want) {
			t.Errorf("chapters %q, want %q", got, want)
		}
		if i > 0 {
			contains(t, text, "row 1", "row 2")
		}
	}
	s.Runs = []benchpage.Run{{Name: "failed"}}
	if err := benchpage.WriteSheet(io.Discard, s); err == nil || !strings.HasPrefix(err.Error(), "socketeer: ") {
		t.Errorf("no report: %v", err)
	}
	broken := errors.New("no room left")
	if err := benchpage.WriteSheet(failing{broken}, growing()); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func FuzzWriteSheet(f *testing.F) {
	f.Add("title", "µs", 1.0, 2.0, 3.0, true)
	f.Add("<script>\x00\xff", "</td>", 0.0, -1.0, 1e300, false)
	f.Add("", "", 0.0, 0.0, 0.0, true)
	f.Fuzz(func(t *testing.T, a, b string, x, y, z float64, log bool) {
		elements, _ := sheet(t, benchpage.Sheet{
			Title: a, Origin: &loadgen.Origin{Command: b}, Notes: []string{a, b},
			Curves: []benchpage.Curve{
				{Title: a, Unit: b, Over: a, Log: log, Lines: []benchpage.Line{{Name: a, Points: []benchpage.Point{{x, y}, {y, z}, {z, x}}}, {Name: b, Points: []benchpage.Point{{y, x}}}}},
				{Log: log, Lines: []benchpage.Line{{Points: []benchpage.Point{{x, y}}}}},
				{},
			},
			Tables: []benchpage.Table{{Title: a, Columns: []string{a, b}, Rows: [][]string{{b, a}}}, {}},
		})
		placed(t, elements)
		if count(elements, "script", "") > 0 {
			t.Error("a script")
		}
	})
}
