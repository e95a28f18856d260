// Package stat sums up figures that were taken in rounds.
//
// A machine is faster in one minute than in the next. What two servers did in
// the same round is therefore compared with each other first, and only the
// ratios are summed up over the rounds.
package stat

import (
	"maps"
	"slices"
)

// Rounds holds one figure a round, by the round's number. A round in which
// there was none is absent.
type Rounds map[int]float64

// Summary is a median with its spread.
type Summary struct {
	Median, Min, Max float64
	N                int // figures; the others are 0 without any
}

// Of sums up the figures of r.
func Of(r Rounds) Summary {
	values := slices.Sorted(maps.Values(r))
	n := len(values)
	if n == 0 {
		return Summary{}
	}
	median := values[n/2]
	if n%2 == 0 {
		median = (values[n/2-1] + values[n/2]) / 2
	}
	return Summary{Median: median, Min: values[0], Max: values[n-1], N: n}
}

// Ratios divides the figures of r by those that other has for the same
// rounds. Rounds that only one has, or that would divide by zero, are left out.
func (r Rounds) Ratios(other Rounds) Rounds {
	ratios := Rounds{}
	for round, v := range r {
		if o := other[round]; o != 0 {
			ratios[round] = v / o
		}
	}
	return ratios
}
