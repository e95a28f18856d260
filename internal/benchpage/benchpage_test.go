package benchpage_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/benchpage"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// paced is the report of a run of n seconds, the first of which are warm-up.
func paced(n, warmup int) *loadgen.Report {
	l := &loadgen.Load{
		Seconds: float64(n), Sent: 4000, Messages: 399_900, PerSecond: 19_995,
		Expected: 480_000, Received: 480_000,
		Latency:   loadgen.Latency{Mean: 3.41, P50: 1.07, P90: 2.92, P99: 52.9, P999: 179, Max: 198},
		Server:    &loadgen.CPU{Seconds: 3.31, Cores: 0.17, PerMessageMicros: 8.28},
		Generator: loadgen.CPU{Seconds: 2.4, Cores: 0.12, PerMessageMicros: 6},
	}
	for i := range n {
		s := loadgen.Second{At: float64(i + 1), PerSecond: 20_000 + float64(i%3), ServerCores: 0.16, ServerKiB: 30 << 10, GeneratorCores: 0.12}
		if i >= warmup {
			s.P50, s.P99 = 1.1, 4.5+float64(i%5)
		}
		l.Series = append(l.Series, s)
	}
	return &loadgen.Report{
		Mode: loadgen.Rooms, Addrs: []string{"127.0.0.1:3000"}, Conns: 2000, Room: 100, Rooms: 20, Rate: 20_000, Payload: 64,
		Accept: loadgen.Accept{Seconds: 0.283, PerSecond: 7075},
		Memory: &loadgen.Memory{BeforeKiB: 17_756, ConnectedKiB: 29_976, PerConnectionKiB: 6.11},
		Load:   l,
	}
}

// element is a part of a page.
type element struct {
	name  string
	attrs map[string]string
	text  string
}

// read parses a page, which is XML, too.
func read(t *testing.T, runs ...benchpage.Run) (elements []element, text string) {
	t.Helper()
	var b bytes.Buffer
	if err := benchpage.WriteHTML(&b, runs); err != nil {
		t.Fatal(err)
	}
	return parse(t, &b)
}

func parse(t *testing.T, page io.Reader) (elements []element, text string) {
	t.Helper()
	var all strings.Builder
	var open []int
	for d := xml.NewDecoder(page); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return elements, all.String()
		}
		if err != nil {
			t.Fatalf("not a page: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attrs: map[string]string{}}
			for _, a := range token.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			open = append(open, len(elements))
			elements = append(elements, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				elements[open[len(open)-1]].text += string(token)
				all.Write(token)
			}
		}
	}
}

// count is how many elements have this name, and a class that begins so.
func count(elements []element, name, class string) (n int) {
	for _, e := range elements {
		if e.name == name && strings.HasPrefix(e.attrs["class"], class) {
			n++
		}
	}
	return n
}

func texts(elements []element, name string) (list []string) {
	for _, e := range elements {
		if e.name == name {
			list = append(list, strings.TrimSpace(e.text))
		}
	}
	return list
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("the page says nothing of %q", part)
		}
	}
}

var machine = loadgen.Machine{Cores: 2, CPU: "EPYC", Kernel: "Linux 6.18", Go: "1.26"}

// from says where a report comes from.
func from(r *loadgen.Report, o loadgen.Origin) *loadgen.Report {
	r.Origin = &o
	return r
}

func TestOneRun(t *testing.T) {
	elements, text := read(t, benchpage.Run{Report: from(paced(20, 4), loadgen.Origin{
		Command: "socketeer bench --mode rooms", Machine: machine, Started: time.Date(2026, 11, 25, 10, 30, 0, 0, time.UTC),
	})})
	contains(t, text,
		"rooms, 20 of 100, 20,000/s asked for", "25 November 2026, 10:30 UTC · 2 cores EPYC · Linux 6.18 · Go 1.26",
		"socketeer bench --mode rooms",
		"19,995", "52.9", "8.28", "6.11", "7,075", // in large letters
		"All 480,000 messages arrived",
		"p99.9", "179", "3.41", // by percentile
		"0 of 480,000", // the summary
	)
	want := []string{"Throughput", "Latency", "CPU", "Memory of the servers", "By percentile"}
	if got := texts(elements, "figcaption"); !slices.Equal(got, want) {
		t.Errorf("charts %q, want %q", got, want)
	}
	if got := count(elements, "path", "curve"); got != 1+2+2+1+1 {
		t.Errorf("%d curves", got)
	}
	if got := count(elements, "rect", "shade"); got != 4 {
		t.Errorf("%d charts with a warm-up", got)
	}
	if got := count(elements, "circle", "dot"); got != 20+2*16+2*20+20+5 {
		t.Errorf("%d points", got)
	}
}

// The page is all there is: nothing is loaded, nothing runs.
func TestSelfContained(t *testing.T) {
	elements, text := read(t, benchpage.Run{Report: paced(3, 1)})
	selfContained(t, elements, text)
}

func selfContained(t *testing.T, elements []element, text string) {
	t.Helper()
	for _, e := range elements {
		if e.name == "script" || e.name == "link" || e.name == "img" {
			t.Errorf("a %s", e.name)
		}
		for name, value := range e.attrs {
			if name == "src" || name == "href" || strings.Contains(value, "//") {
				t.Errorf("%s %s=%q", e.name, name, value)
			}
		}
	}
	for _, part := range []string{"url(", "@import", "http"} {
		if strings.Contains(text, part) {
			t.Errorf("%q", part)
		}
	}
}

func TestComparison(t *testing.T) {
	odd := `<b>"x"</b> & ` + "\x01\xff"
	other := paced(10, 4)
	other.Load.Latency.P99 = 105.8
	other.Rate = 0
	other.Inflight = 3
	elements, text := read(t,
		benchpage.Run{Name: "ours", Report: from(paced(20, 4), loadgen.Origin{Machine: machine})},
		benchpage.Run{Name: odd, Report: from(other, loadgen.Origin{Command: odd, Machine: machine})})
	if titles := texts(elements, "h2"); titles[len(titles)-1] != "Commands and machines" {
		t.Errorf("chapters %q", titles)
	}
	contains(t, text, "2 runs compared", `<b>"x"</b> & `+"\ufffd\ufffd", "20,000/s asked for", "saturated with 3 in flight", "106")
	want := []string{
		"throughput", "latency p50", "latency p99", "server CPU per message", "memory per connection", "connections accepted",
		"Throughput", "Latency, p50", "Latency, p99", "CPU of the servers", "CPU of the generator", "Memory of the servers", "By percentile",
	}
	if got := texts(elements, "figcaption"); !slices.Equal(got, want) {
		t.Errorf("figures %q, want %q", got, want)
	}
	for class := range 2 {
		if got := count(elements, "path", fmt.Sprint("curve c", class)); got != 7 {
			t.Errorf("run %d has %d curves", class, got)
		}
	}
	if _, text = read(t, benchpage.Run{Name: "a", Report: paced(3, 1)}, benchpage.Run{Name: "b", Report: paced(3, 1)}); !strings.Contains(text, "20,000/s asked for, 64 bytes") {
		t.Error("what is common is not the title")
	}
}

func TestNotes(t *testing.T) {
	r := paced(3, 1)
	r.Lost, r.LostWhy = 7, "connection reset by peer"
	r.Load.Missing, r.Load.Misordered, r.Load.Duplicated, r.Load.Foreign = 1234, 2, 3, 4
	r.Load.Missed, r.Load.OtherCores = 5, 0.75
	_, text := read(t, benchpage.Run{Report: r})
	contains(t, text, "7 connections were lost: connection reset by peer", "1,234 messages are missing, of 480,000",
		"2 messages came out of order", "3 messages came twice", "4 messages came that this run had not asked for",
		"5 sends were missed", "Other processes took 0.75 cores")
	if strings.Contains(text, "arrived, once") {
		t.Error("and yet all is well")
	}
}

// What clients miss that are away on purpose is a result, not a fault.
func TestAway(t *testing.T) {
	for name, c := range map[string]struct {
		change       func(r *loadgen.Report)
		good, faults []string
	}{
		"drops": {
			func(r *loadgen.Report) {
				r.Mode, r.Drops = loadgen.Drops, &loadgen.Delivery{Cuts: 12, Expected: 480_000, Delivered: 478_766}
			},
			[]string{"no connection was lost but those that were cut", "Clients were cut 12 times, on purpose, and missed 1,234 of 480,000 messages"},
			nil,
		},
		"drops, twice": {
			func(r *loadgen.Report) {
				r.Mode, r.Drops, r.Load.Duplicated = loadgen.Drops, &loadgen.Delivery{Cuts: 12, Expected: 10, Delivered: 10}, 3
			},
			[]string{"missed 0 of 10 messages"},
			[]string{"3 messages came twice"},
		},
		"deploy": {
			func(r *loadgen.Report) {
				r.Mode, r.Lost, r.LostWhy = loadgen.Deploy, 70, "closed"
				r.Deploy = &loadgen.Deployment{Servers: 3, Replaced: 3, Fallen: 70, Back: r.Conns - 2, Expected: 2000, Delivered: 1900}
			},
			[]string{"3 of 3 servers were replaced, which took 70 connections with them; 100 of 2,000 messages were missed"},
			[]string{"2 of 2,000 clients were not connected at the end"},
		},
		"storm": {
			func(r *loadgen.Report) {
				r.Mode, r.Load, r.Storm = loadgen.Storm, nil, &loadgen.Reconnection{Conns: 10, Back: 10, OtherCores: 0.4}
			},
			[]string{"No connection was lost", "10 of 10 connections were cut and came back"},
			[]string{"Other processes took 0.40 cores"},
		},
		"storm, not all": {
			func(r *loadgen.Report) {
				r.Mode, r.Load, r.Storm = loadgen.Storm, nil, &loadgen.Reconnection{Conns: 10, Back: 9}
			},
			nil,
			[]string{"9 of 10 connections were cut and came back"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := paced(3, 1)
			r.Load.Missing = 1234
			c.change(r)
			elements, text := read(t, benchpage.Run{Report: r})
			contains(t, text, c.good...)
			contains(t, text, c.faults...)
			if got := count(elements, "li", "") - count(elements, "li", "good"); got != len(c.faults) {
				t.Errorf("%d faults, want %q", got, c.faults)
			}
			if strings.Contains(text, "are missing") || strings.Contains(text, "were lost: ") {
				t.Error("what was done on purpose counts as a fault")
			}
		})
	}
}

// storm is the report of a storm of n steps, in the last of which all are back.
func storm(n int) *loadgen.Report {
	r := paced(0, 0)
	r.Mode, r.Load = loadgen.Storm, nil
	s := &loadgen.Reconnection{
		Cut: loadgen.RST, Delay: 1, Conns: 2000, Back: 2000, Seconds: 0.1 * float64(n), PerSecond: 1234,
		Return:    loadgen.Latency{Mean: 905, P50: 1003, P90: 1391, P99: 1488, P999: 1502, Max: 1507},
		Server:    &loadgen.CPU{Seconds: 0.24, Cores: 0.16, PerMessageMicros: 118},
		Generator: loadgen.CPU{Seconds: 0.1, Cores: 0.06, PerMessageMicros: 50}, PeakKiB: 45 << 10,
	}
	for i := range n {
		s.Series = append(s.Series, loadgen.Second{
			At: 0.1 * float64(i+1), PerSecond: float64(1000 * i), Back: 2000 * i / max(1, n-1),
			ServerCores: 0.3, ServerKiB: 40 << 10, GeneratorCores: 0.1,
		})
	}
	r.Storm = s
	return r
}

func TestStorm(t *testing.T) {
	elements, text := read(t, benchpage.Run{Report: storm(16)})
	contains(t, text,
		"storm, rooms of 100",
		"all back after", "1.60", "1,003", "1,488", "118", "peak memory", "45.0", // in large letters
		"2,000 of 2,000 connections were cut and came back", "Time to return", "1,391",
		"Step by step", "returns/s", "1.50", "1,866", // a step
		"In a storm time counts from the cut",
	)
	want := []string{"Connections back", "Returns", "CPU", "Memory of the servers", "By percentile"}
	if got := texts(elements, "figcaption"); !slices.Equal(got, want) {
		t.Errorf("charts %q, want %q", got, want)
	}
	if got := count(elements, "path", "curve"); got != 1+1+2+1+1 {
		t.Errorf("%d curves", got)
	}
	if got := count(elements, "circle", "dot"); got != 5*16+5 {
		t.Errorf("%d points", got)
	}
	if got := count(elements, "rect", "shade"); got != 0 {
		t.Errorf("%d charts with a warm-up", got)
	}
	for _, no := range []string{"p99, ms", "messages/s", "throughput"} {
		if strings.Contains(text, no) {
			t.Errorf("%q of a storm", no)
		}
	}
	placed(t, elements)
}

// Storms are compared by what storms have, also beside something else.
func TestStorms(t *testing.T) {
	for name, c := range map[string]struct {
		other  *loadgen.Report
		charts []string
		titles []string
	}{
		"storms": {storm(12), []string{
			"all back after", "time to return p50", "time to return p99", "server CPU per return", "peak memory", "memory per connection", "connections accepted",
			"Connections back", "Returns", "CPU of the servers", "CPU of the generator", "Memory of the servers", "By percentile",
		}, []string{"Side by side", "Course", "Time to return", "Summary"}},
		"a load": {paced(4, 2), []string{
			"memory per connection", "connections accepted",
			"Connections back", "Returns", "Throughput", "Latency, p50", "Latency, p99", "CPU of the servers", "CPU of the generator", "Memory of the servers",
			"By percentile", "By percentile",
		}, []string{"Side by side", "Course", "Latency", "Time to return", "Summary"}},
		"one in which nobody came back": {&loadgen.Report{Mode: loadgen.Storm, Storm: &loadgen.Reconnection{Conns: 5}}, []string{
			"connections accepted",
			"Connections back", "Returns", "CPU of the servers", "CPU of the generator", "Memory of the servers", "By percentile",
		}, []string{"Side by side", "Course", "Time to return", "Summary"}},
	} {
		t.Run(name, func(t *testing.T) {
			elements, _ := read(t, benchpage.Run{Name: "one", Report: storm(16)}, benchpage.Run{Name: "other", Report: c.other})
			if got := texts(elements, "figcaption"); !slices.Equal(got, c.charts) {
				t.Errorf("figures %q, want %q", got, c.charts)
			}
			if got := texts(elements, "h2"); !slices.Equal(got, c.titles) {
				t.Errorf("chapters %q, want %q", got, c.titles)
			}
			placed(t, elements)
		})
	}
}

// dropped is the report of a run of n seconds in which clients were cut.
func dropped(n int) *loadgen.Report {
	r := paced(n, 0)
	r.Mode = loadgen.Drops
	for i := range r.Load.Series {
		r.Load.Series[i].Away = 250 + i
	}
	r.Drops = &loadgen.Delivery{
		Clients: 1980, Messages: 120, Expected: 237_600, Delivered: 206_000, Percent: 86.7, Min: 96, Cuts: 8000, Returned: 7990,
		Histogram: []loadgen.GotRange{{From: 96, To: 101, Clients: 480}, {From: 102, To: 107, Clients: 1500}},
		Return:    loadgen.Latency{Mean: 2003, P50: 2001, P90: 2004, P99: 2011, P999: 2020, Max: 2031},
	}
	return r
}

// replaced is the report of a run of n seconds in which servers were replaced.
func replaced(n int) *loadgen.Report {
	r := paced(n, 0)
	r.Mode = loadgen.Deploy
	for i := range r.Load.Series {
		r.Load.Series[i].Away = 7 * i
	}
	r.Deploy = &loadgen.Deployment{
		Servers: 3, Replaced: 3, Expected: 240_000, Delivered: 237_700, Percent: 99.04, Worst: 93.25, Fallen: 2000, Returned: 2000, Back: r.Conns,
		Histogram: []loadgen.GotRange{{From: 112, To: 112, Clients: 20}, {From: 115, To: 115, Clients: 700}, {From: 120, To: 120, Clients: 1280}},
		Gap:       loadgen.Latency{Mean: 1010, P50: 1003, P90: 1390, P99: 1489, P999: 1501, Max: 1507},
		Reconnect: loadgen.Latency{Mean: 2, P50: 1.64, P90: 3.2, P99: 7.77, P999: 9, Max: 11},
	}
	return r
}

// What comes of taking clients or servers away is drawn, and not only written.
func TestDelivered(t *testing.T) {
	for name, c := range map[string]struct {
		report *loadgen.Report
		tiles  []string
		titles []string
		blocks int
		hint   string
	}{
		"drops": {
			dropped(8), []string{"delivered 86.7 %", "worst client got 80.0 %", "gap p50 2,001 ms", "gap p99 2,011 ms"},
			[]string{"Course", "Delivered", "Latency", "Gap, from the loss of a connection until the client is back", "Summary"},
			2, "102 to 107 messages: 1,500 clients",
		},
		"deploy": {
			replaced(8), []string{
				"delivered 99.0 %", "worst client got 93.2 %", "gap p50 1,003 ms", "gap p99 1,489 ms",
				"time to reconnect p50 1.64 ms", "time to reconnect p99 7.77 ms",
			},
			[]string{
				"Course", "Delivered", "Latency", "Gap, from the loss of a connection until the client is back",
				"Time to reconnect, of the attempt that succeeded", "Summary",
			},
			3, "112 to 112 messages: 20 clients",
		},
	} {
		t.Run(name, func(t *testing.T) {
			elements, text := read(t, benchpage.Run{Report: c.report})
			placed(t, elements)
			contains(t, text, "away", c.hint)
			names, values, units := texts(elements, "dt"), texts(elements, "dd"), texts(elements, "small")
			var tiles []string
			for i := range names {
				tiles = append(tiles, names[i]+" "+values[i]+" "+units[i])
			}
			for _, want := range c.tiles {
				if !slices.Contains(tiles, want) {
					t.Errorf("no %q in %q", want, tiles)
				}
			}
			if got := texts(elements, "h2"); !slices.Equal(got, c.titles) {
				t.Errorf("chapters %q, want %q", got, c.titles)
			}
			figures := texts(elements, "figcaption")
			for _, want := range []string{"Clients away", "Messages that each client got", "CPU", "Memory of the servers"} {
				if !slices.Contains(figures, want) {
					t.Errorf("no %q in %q", want, figures)
				}
			}
			if got := count(elements, "rect", "block"); got != c.blocks {
				t.Errorf("%d columns", got)
			}
			elements, text = read(t, benchpage.Run{Name: "one", Report: c.report}, benchpage.Run{Name: "other", Report: c.report})
			placed(t, elements)
			contains(t, text, "other, "+c.hint)
			if got := count(elements, "rect", "block c1"); got != c.blocks {
				t.Errorf("%d columns of the second run", got)
			}
			if !slices.Contains(texts(elements, "figcaption"), "worst client got") {
				t.Error("the worst clients are not compared")
			}
		})
	}
	if _, text := read(t, benchpage.Run{Report: paced(4, 1)}); strings.Contains(text, "Clients away") || strings.Contains(text, "each client got") {
		t.Error("clients away where nobody was")
	}
}

// idle is the report of connections that came in within a second, and did
// nothing for the rest of n tenths of one.
func idle(n int) *loadgen.Report {
	r := paced(0, 0)
	r.Mode, r.Load = loadgen.Idle, nil
	for i := range n {
		s := loadgen.Second{At: 0.1 * float64(i+1), Conns: min(2000, 200*(i+1)), ServerCores: 0.2, ServerKiB: 20 << 10, GeneratorCores: 0.1}
		if i < 10 {
			s.PerSecond = 2000
		}
		r.Series = append(r.Series, s)
	}
	return r
}

func TestIdleCourse(t *testing.T) {
	elements, text := read(t, benchpage.Run{Report: idle(30)})
	placed(t, elements)
	contains(t, text, "Step by step", "accepted/s", "1,600", "2.50 s: 2,000 connections", "in idle from when the first was opened")
	want := []string{"Connections", "Accepted", "CPU", "Memory of the servers"}
	if got := texts(elements, "figcaption"); !slices.Equal(got, want) {
		t.Errorf("charts %q, want %q", got, want)
	}
	if got := count(elements, "rect", "shade"); got != 0 {
		t.Errorf("%d charts with a warm-up", got)
	}
}

func TestIdle(t *testing.T) {
	r := paced(0, 0)
	r.Mode, r.Load = loadgen.Idle, nil
	elements, text := read(t, benchpage.Run{Report: r})
	contains(t, text, "idle", "6.11", "7,075", "No connection was lost")
	if n := count(elements, "svg", ""); n != 0 {
		t.Errorf("%d charts of nothing", n)
	}
}

// A course may be too short for a line.
func TestShortCourses(t *testing.T) {
	for n := range 4 {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			elements, text := read(t, benchpage.Run{Report: storm(n)})
			if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
				t.Error("something is no number")
			}
			placed(t, elements)
			elements, text = read(t, benchpage.Run{Report: paced(n, 0)})
			if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
				t.Error("something is no number")
			}
			placed(t, elements)
			charts := 5
			if n == 0 {
				charts = 1 // the percentiles
			}
			if got := count(elements, "svg", ""); got != charts {
				t.Errorf("%d charts", got)
			}
			marked := 0
			for _, e := range elements {
				if strings.HasSuffix(e.attrs["class"], " marked") {
					marked++
				}
			}
			want := 5
			if n == 1 {
				want += 6
			}
			if marked != want {
				t.Errorf("%d points to be seen, want %d", marked, want)
			}
		})
	}
}

// placed holds everything that is drawn to its picture.
func placed(t *testing.T, elements []element) {
	t.Helper()
	for _, e := range elements {
		for _, name := range []string{"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height", "d"} {
			value, ok := e.attrs[name]
			if !ok {
				continue
			}
			numbers := strings.FieldsFunc(value, func(r rune) bool { return r == 'M' || r == 'L' || r == ' ' })
			for _, number := range numbers {
				if v, err := strconv.ParseFloat(number, 64); err != nil || !(v >= 0 && v <= 480) {
					t.Fatalf("%s %s=%.200q", e.name, name, value)
				}
			}
		}
	}
}

func FuzzWriteHTML(f *testing.F) {
	odd := []float64{0, math.Copysign(0, -1), -1, 1e-300, 5e-324, 1e15, 1e300, math.MaxFloat64, math.NaN(), math.Inf(1), math.Inf(-1)}
	for i, v := range odd {
		f.Add("name", "bench", v, 1.0, odd[(i+3)%len(odd)], uint64(i))
		f.Add("\x00\xff<script>", "</pre>&\u202e\x1b", 1.0, v, v, uint64(math.MaxUint64))
	}
	f.Fuzz(func(t *testing.T, name, command string, a, b, c float64, n uint64) {
		r := paced(4, 1)
		r.Addrs = []string{name, command}
		r.Lost, r.LostWhy = int(n>>1), name
		r.Rate, r.Memory.PerConnectionKiB, r.Accept.PerSecond = a, b, c
		l := r.Load
		l.Missing, l.Missed, l.Messages, l.OtherCores = n, n, n, c
		l.PerSecond, l.Server.PerMessageMicros, l.Latency = b, c, loadgen.Latency{Mean: a, P50: b, P90: c, P99: a, P999: b, Max: c}
		l.Series[1] = loadgen.Second{At: a, PerSecond: b, P50: c, P99: a, ServerCores: b, ServerKiB: int64(n), GeneratorCores: c}
		l.Series[2].At, l.Series[2].P50, l.Series[3].P50 = b, c, a
		cut := storm(3)
		cut.Storm.Series[1] = loadgen.Second{At: a, PerSecond: b, Back: int(n), ServerCores: c, ServerKiB: int64(n)}
		cut.Storm.Back, cut.Storm.Seconds, cut.Storm.Return = int(n), a, l.Latency
		away := replaced(3)
		away.Load.Series[1].Away = int(n)
		away.Deploy.Percent, away.Deploy.Worst, away.Deploy.Gap, away.Deploy.Reconnect = a, b, l.Latency, l.Latency
		away.Deploy.Histogram = append(away.Deploy.Histogram, loadgen.GotRange{From: int(n), To: int(n >> 1), Clients: int(n)}, loadgen.GotRange{From: int(n >> 40), To: int(n >> 33), Clients: int(n >> 20)})
		still := idle(3)
		still.Series[1] = loadgen.Second{At: a, PerSecond: b, Conns: int(n)}
		run := benchpage.Run{Name: name, Report: from(r, loadgen.Origin{Command: command, Machine: loadgen.Machine{Cores: int(n), CPU: name, Kernel: command}})}
		for _, runs := range [][]benchpage.Run{{run}, {run, {Report: paced(2, 0)}, run}, {{Report: cut}}, {{Report: cut}, run}, {{Report: away}}, {{Report: still}}, {{Report: still}, {Report: away}}} {
			elements, _ := read(t, runs...)
			placed(t, elements)
			if count(elements, "script", "") > 0 {
				t.Error("a script")
			}
		}
	})
}

// FuzzReport shows reports that were read from files.
func FuzzReport(f *testing.F) {
	for _, r := range []*loadgen.Report{paced(3, 1), storm(3), dropped(3), replaced(3), idle(3), {}} {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r loadgen.Report
		if json.Unmarshal(b, &r) != nil {
			return
		}
		for _, runs := range [][]benchpage.Run{{{Report: &r}}, {{Report: &r}, {Name: "other", Report: paced(2, 0)}}} {
			elements, _ := read(t, runs...)
			placed(t, elements)
			if count(elements, "script", "") > 0 {
				t.Error("a script")
			}
		}
	})
}

func TestRefuses(t *testing.T) {
	for name, runs := range map[string][]benchpage.Run{"no run": nil, "no report": {{Name: "empty"}}} {
		if err := benchpage.WriteHTML(io.Discard, runs); err == nil || !strings.HasPrefix(err.Error(), "socketeer: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("no room left")
	if err := benchpage.WriteHTML(failing{broken}, []benchpage.Run{{Report: paced(3, 1)}}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (w failing) Write([]byte) (int, error) { return 0, w.err }
