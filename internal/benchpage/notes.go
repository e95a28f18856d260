package benchpage

import (
	"fmt"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// otherCores is how much other processes may take before a run is doubtful.
const otherCores = 0.1

// note says something of a run that its reader must know.
type note struct {
	Good bool
	Text string
}

// noteList grows note by note.
type noteList []note

func (l *noteList) add(good bool, format string, args ...any) {
	*l = append(*l, note{Good: good, Text: clean(fmt.Sprintf(format, args...))})
}

// notes are a run's faults, or that it has none, and what came of a mode that
// takes connections away on purpose: what is missed then is its result.
func notes(r *loadgen.Report) []note {
	var list noteList
	if r.Lost > 0 && r.Deploy == nil {
		list.add(false, "%s connections were lost: %s.", number(r.Lost), r.LostWhy)
	}
	if r.Load != nil {
		list.messages(r)
	}
	if len(list) == 0 {
		list.add(true, "%s", allWell(r))
	}
	list.away(r)
	if r.Load != nil && r.Load.Missed > 0 && r.Deploy == nil { // there, senders were away
		list.add(false, "%s sends were missed: they could not leave within a second of when they were due. Latency does not count them.", number(r.Load.Missed))
	}
	if others := othersOf(r); others > otherCores {
		list.add(false, "Other processes took %.2f cores meanwhile. Latency and throughput are worse than they would be.", others)
	}
	return list
}

// messages adds what was wrong with those that were sent.
func (l *noteList) messages(r *loadgen.Report) {
	for _, f := range []struct {
		n    uint64
		text string
	}{
		{missing(r), "messages are missing, of " + number(r.Load.Expected)},
		{r.Load.Misordered, "messages came out of order"},
		{r.Load.Duplicated, "messages came twice"},
		{r.Load.Foreign, "messages came that this run had not asked for"},
	} {
		if f.n > 0 {
			l.add(false, "%s %s.", number(f.n), f.text)
		}
	}
}

// missing is what did not arrive though nobody was away on purpose.
func missing(r *loadgen.Report) uint64 {
	if r.Drops != nil || r.Deploy != nil {
		return 0
	}
	return r.Load.Missing
}

// allWell says what a run without faults shows.
func allWell(r *loadgen.Report) string {
	switch {
	case r.Load == nil:
		return "No connection was lost."
	case r.Drops != nil:
		return "No message came twice or out of order; no connection was lost but those that were cut."
	case r.Deploy != nil:
		return "No message came twice or out of order."
	}
	return fmt.Sprintf("All %s messages arrived, once and in order; no connection was lost.", number(r.Load.Expected))
}

// away adds how clients fared that were cut, or whose servers were replaced.
func (l *noteList) away(r *loadgen.Report) {
	if s := r.Storm; s != nil {
		l.add(s.Back >= s.Conns, "%s of %s connections were cut and came back.", number(s.Back), number(s.Conns))
	}
	if d := r.Drops; d != nil {
		l.add(true, "Clients were cut %s times, on purpose, and missed %s of %s messages by it.",
			number(d.Cuts), number(missed(d.Expected, d.Delivered)), number(d.Expected))
	}
	if d := r.Deploy; d != nil {
		l.add(true, "%s of %s servers were replaced, which took %s connections with them; %s of %s messages were missed meanwhile.",
			number(d.Replaced), number(d.Servers), number(d.Fallen), number(missed(d.Expected, d.Delivered)), number(d.Expected))
		if d.Back < r.Conns {
			l.add(false, "%s of %s clients were not connected at the end.", number(r.Conns-d.Back), number(r.Conns))
		}
	}
}

// missed is the difference, when there is one.
func missed(expected, delivered uint64) uint64 { return expected - min(expected, delivered) }

// othersOf returns how many cores other processes took.
func othersOf(r *loadgen.Report) float64 {
	switch {
	case r.Load != nil:
		return r.Load.OtherCores
	case r.Storm != nil:
		return r.Storm.OtherCores
	}
	return 0
}
