package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"text/tabwriter"
	"time"
)

// state is what the supervisor knows of a child.
type state string

const (
	stateDown     state = "down"
	stateStarting state = "starting"
	stateReady    state = "ready"
)

// settle is how long a table waits for children that are not ready before it
// is printed as things are.
const settle = 5 * time.Second

// table shows what runs where: once all children are ready, and again after
// each change.
type table struct {
	children []Child
	out      *output
	hint     string
	changed  chan struct{} // capacity 1: something is to be shown

	mu     sync.Mutex
	states []state
	pids   []int
}

func newTable(children []Child, out *output, hint string) *table {
	return &table{
		children: children, out: out, hint: hint,
		changed: make(chan struct{}, 1),
		states:  make([]state, len(children)),
		pids:    make([]int, len(children)),
	}
}

func (t *table) set(i int, s state, pid int) {
	t.mu.Lock()
	t.states[i], t.pids[i] = s, pid
	t.mu.Unlock()
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// run prints tables until ctx ends.
func (t *table) run(ctx context.Context) {
	var overdue <-chan time.Time // set while a change is not shown
	for {
		select {
		case <-ctx.Done():
			return
		case <-overdue:
			t.print()
			overdue = nil
		case <-t.changed:
			if t.allReady() {
				t.print()
				overdue = nil
			} else if overdue == nil {
				overdue = time.After(settle)
			}
		}
	}
}

func (t *table) allReady() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !slices.ContainsFunc(t.states, func(s state) bool { return s != stateReady })
}

func (t *table) print() {
	var b bytes.Buffer
	b.WriteByte('\n')
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "  NODE\tPID\tSTATE\tURL\tOPERATORS")
	t.mu.Lock()
	ready := true
	for i, c := range t.children {
		pid := "-"
		if t.pids[i] != 0 {
			pid = strconv.Itoa(t.pids[i])
		}
		ready = ready && t.states[i] == stateReady
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", c.Name, pid, t.states[i], c.URL, c.AdminURL)
	}
	t.mu.Unlock()
	_ = w.Flush() // into memory
	b.WriteByte('\n')
	if ready && t.hint != "" {
		b.WriteString("  " + t.hint + "\n\n")
	}
	t.out.block(b.Bytes())
}
