package engineio

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPacer(t *testing.T) {
	for _, tt := range []struct {
		name              string
		round, idle, want time.Duration
	}{
		{"a short round is not followed by a pause", longRound - 1, 0, 0},
		{"a long one is, by one as long", longRound, 0, longRound},
		{"of which idle time is part", longRound, longRound / 4, longRound * 3 / 4},
		{"or all", longRound, time.Second, 0},
		{"it has a limit", time.Second, 0, maxPause},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p pacer
				stop := make(chan struct{})
				for range 2 { // the second time with the timer of the first
					begin := time.Now()
					time.Sleep(tt.round) //nolint:forbidigo // within synctest
					p.took(begin)
					time.Sleep(tt.idle) //nolint:forbidigo // within synctest
					if begin = time.Now(); !p.await(stop) {
						t.Fatal("stopped")
					}
					if got := time.Since(begin); got != tt.want {
						t.Errorf("paused for %v, want %v", got, tt.want)
					}
				}
			})
		})
	}
}

func TestPacerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pacer
		stop := make(chan struct{})
		begin := time.Now()
		time.Sleep(time.Second) //nolint:forbidigo // within synctest
		p.took(begin)
		close(stop)
		if p.await(stop) {
			t.Error("paused to the end, although stopped")
		}
	})
}
