package stat_test

import (
	"maps"
	"testing"

	"github.com/socketeer-io/socketeer/test/bench/internal/stat"
)

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rounds stat.Rounds
		want   stat.Summary
	}{
		{"nothing", stat.Rounds{}, stat.Summary{}},
		{"one", stat.Rounds{3: 7}, stat.Summary{Median: 7, Min: 7, Max: 7, N: 1}},
		{"odd", stat.Rounds{1: 9, 2: 1, 3: 4}, stat.Summary{Median: 4, Min: 1, Max: 9, N: 3}},
		{"even", stat.Rounds{1: 9, 2: 1, 3: 4, 4: 5}, stat.Summary{Median: 4.5, Min: 1, Max: 9, N: 4}},
		{"one round far off", stat.Rounds{1: 2, 2: 2, 3: 2, 4: 2, 5: 900}, stat.Summary{Median: 2, Min: 2, Max: 900, N: 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := stat.Of(tt.rounds); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestRatios(t *testing.T) {
	for _, tt := range []struct {
		name               string
		ours, theirs, want stat.Rounds
	}{
		{"by round", stat.Rounds{1: 10, 2: 40}, stat.Rounds{1: 5, 2: 10}, stat.Rounds{1: 2, 2: 4}},
		{"rounds of one only", stat.Rounds{1: 10, 2: 40}, stat.Rounds{2: 10, 3: 1}, stat.Rounds{2: 4}},
		{"no division by zero", stat.Rounds{1: 10, 2: 0}, stat.Rounds{1: 0, 2: 5}, stat.Rounds{2: 0}},
		{"nothing in common", stat.Rounds{1: 10}, stat.Rounds{2: 5}, stat.Rounds{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.ours.Ratios(tt.theirs); !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A machine that halves its speed from one round to the next changes both
// figures and not their ratio.
func TestRatiosOfAChangingMachine(t *testing.T) {
	ours := stat.Rounds{1: 100, 2: 50, 3: 200}
	theirs := stat.Rounds{1: 50, 2: 25, 3: 100}
	if got, want := stat.Of(ours.Ratios(theirs)), (stat.Summary{Median: 2, Min: 2, Max: 2, N: 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
