package engineio

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPacer(t *testing.T) {
	for _, tt := range []struct {
		name              string
		messages          int // in 100 writes
		round, idle, want time.Duration
	}{
		{"a short round is not followed by a pause", 125, longRound - 1, 0, 0},
		{"a long one is, by one as long", 125, longRound, 0, longRound},
		{"unless little joined in it", 124, longRound, 0, 0},
		{"of which idle time is part", 125, longRound, longRound / 4, longRound * 3 / 4},
		{"or all", 125, longRound, time.Second, 0},
		{"it has a limit", 1000, time.Second, 0, maxPause},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p pacer
				stop := make(chan struct{})
				for range 2 { // the second time with the timer of the first
					begin := time.Now()
					time.Sleep(tt.round) //nolint:forbidigo // within synctest
					p.took(begin, 100, tt.messages)
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
		p.took(begin, 1, 2)
		close(stop)
		if p.await(stop) {
			t.Error("paused to the end, although stopped")
		}
	})
}
