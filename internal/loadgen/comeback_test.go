package loadgen_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

func TestBackoff(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		first          time.Duration
		failed         int
		lowest, middle time.Duration
		highest        time.Duration
	}{
		{s, 0, s / 2, s, s * 3 / 2},
		{s, 1, s, 2 * s, 3 * s},
		{s, 2, 2 * s, 4 * s, 5 * s},
		{s, 1000, 4 * s, 5 * s, 5 * s},
		{10 * s, 0, 5 * s, 10 * s, 10 * s},
		{-1, 0, 0, 0, 0},
		{-1, 1, s / 1000, s / 500, s * 3 / 1000},
		{-1, 100, 4096 * s / 1000, 5 * s, 5 * s},
	} {
		for random, want := range map[float64]time.Duration{0: tt.lowest, 0.5: tt.middle, 1: tt.highest} {
			if got := loadgen.Backoff(tt.first, tt.failed, random); got != want {
				t.Errorf("first delay %v, %d failed, random %g: %v, want %v", tt.first, tt.failed, random, got, want)
			}
		}
	}
}

func TestAgenda(t *testing.T) {
	var a loadgen.Agenda
	var want []int64
	for range 1000 {
		at := rand.Int64N(500)
		a.Add(at)
		want = append(want, at)
	}
	slices.Sort(want)
	var got []int64
	for now := int64(-1); now < 500; now++ {
		for at, ok := a.Due(now); ok; at, ok = a.Due(now) {
			if at > now {
				t.Fatalf("at %d, what is due at %d was", now, at)
			}
			got = append(got, at)
		}
	}
	if !slices.Equal(got, want) || a.Len() != 0 {
		t.Errorf("%d of %d appointments, %d left", len(got), len(want), a.Len())
	}
}
