// Package hotpath holds the operations that every message takes to the
// allocations that are stated for them: the same table is a benchmark and a
// test.
package hotpath

import "testing"

// Op is an operation of a hot path.
type Op struct {
	// Name names it, in lower case.
	Name string
	// Allocs is how many allocations it may take.
	Allocs float64
	// Make returns the operation, ready to be repeated. What it needs is made
	// before and does not count.
	Make func(tb testing.TB) func()
}

// Bench measures the operations, each under its name.
func Bench(b *testing.B, ops []Op) {
	b.Helper()
	for _, op := range ops {
		b.Run(op.Name, func(b *testing.B) {
			do := op.Make(b)
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
	}
}

// runs is how often an operation is repeated to count its allocations. They
// are divided and rounded down, so that a pool that grows now and then does
// not count.
const runs = 200

// Pin fails for operations that allocate more than is stated. With the race
// detector, which makes pools forget at random, it is skipped.
func Pin(t *testing.T, ops []Op) {
	t.Helper()
	SkipInRace(t)
	for _, op := range ops {
		t.Run(op.Name, func(t *testing.T) {
			if got := testing.AllocsPerRun(runs, op.Make(t)); got > op.Allocs {
				t.Errorf("%v allocations, stated are %v", got, op.Allocs)
			}
		})
	}
}

// SkipInRace skips a test that counts allocations when the race detector is
// on.
func SkipInRace(t *testing.T) {
	t.Helper()
	if raceEnabled {
		t.Skip("allocations differ with the race detector")
	}
}
