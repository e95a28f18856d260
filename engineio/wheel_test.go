package engineio_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/socketeer-io/socketeer/engineio"
)

const wheelTick = 10 * time.Millisecond

// turning runs a wheel in a bubble. fired collects when each was called.
func turning(t *testing.T, f func(w *engineio.Wheel, fired map[*engineio.Conn][]time.Duration)) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		fired := map[*engineio.Conn][]time.Duration{}
		w := engineio.NewWheel(wheelTick, func(c *engineio.Conn, now time.Time) time.Time {
			fired[c] = append(fired[c], now.Sub(began))
			return time.Time{}
		})
		stop := make(chan struct{})
		go w.Run(stop)
		f(w, fired)
		close(stop)
	})
}

func TestWheelFiresOnTime(t *testing.T) {
	turning(t, func(w *engineio.Wheel, fired map[*engineio.Conn][]time.Duration) {
		began := time.Now()
		want := map[*engineio.Conn]time.Duration{}
		for _, d := range []time.Duration{-time.Second, 0, time.Millisecond, 10 * time.Millisecond, 11 * time.Millisecond,
			time.Second, 5119 * time.Millisecond, 5120 * time.Millisecond, 5121 * time.Millisecond, // a round has 5.12 s
			30 * time.Second, 30 * time.Second, time.Hour} {
			c := new(engineio.Conn)
			want[c] = d
			w.Schedule(c, began.Add(d))
		}
		pass(2 * time.Hour) // the bubble's
		synctest.Wait()
		for c, d := range want {
			if got := fired[c]; len(got) != 1 || got[0] < d || got[0] > max(d, 0)+2*wheelTick {
				t.Errorf("due after %v: fired after %v", d, got)
			}
		}
	})
}

func TestWheelChangesItsMind(t *testing.T) {
	turning(t, func(w *engineio.Wheel, fired map[*engineio.Conn][]time.Duration) {
		at := func(d time.Duration) time.Time { return time.Now().Add(d) }
		moved, removed, sooner, notSooner, neighbour := new(engineio.Conn), new(engineio.Conn), new(engineio.Conn), new(engineio.Conn), new(engineio.Conn)
		for _, c := range []*engineio.Conn{moved, removed, sooner, notSooner, neighbour} {
			w.Schedule(c, at(time.Second))
		}
		w.Schedule(moved, at(2*time.Second))
		w.Remove(removed)
		w.Remove(removed)
		w.Sooner(sooner, at(100*time.Millisecond))
		w.Sooner(notSooner, at(time.Minute))
		pass(time.Hour)
		synctest.Wait()
		for name, tc := range map[string]struct {
			c    *engineio.Conn
			want time.Duration
		}{"moved": {moved, 2 * time.Second}, "removed": {removed, 0}, "sooner": {sooner, 100 * time.Millisecond},
			"not sooner": {notSooner, time.Second}, "neighbour": {neighbour, time.Second}} {
			got := fired[tc.c]
			if tc.want == 0 {
				if len(got) > 0 {
					t.Errorf("%s: fired after %v", name, got)
				}
				continue
			}
			if len(got) != 1 || got[0] < tc.want || got[0] > tc.want+2*wheelTick {
				t.Errorf("%s: fired after %v, want %v", name, got, tc.want)
			}
		}
	})
}

// What is set while a connection is being called counts, if it is sooner.
func TestWheelScheduledWhileCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var w *engineio.Wheel
		var fired []time.Duration
		w = engineio.NewWheel(wheelTick, func(c *engineio.Conn, now time.Time) time.Time {
			fired = append(fired, now.Sub(began))
			switch len(fired) {
			case 1:
				w.Schedule(c, now.Add(time.Second)) // by somebody else, at the same time
				return now.Add(time.Minute)
			case 2:
				w.Sooner(c, now.Add(time.Second))
				return now.Add(time.Minute)
			}
			return time.Time{}
		})
		stop := make(chan struct{})
		go w.Run(stop)
		w.Schedule(new(engineio.Conn), began.Add(time.Second))
		pass(time.Hour)
		synctest.Wait()
		close(stop)
		if len(fired) != 3 || fired[1] > 3*time.Second || fired[2] > 4*time.Second {
			t.Errorf("fired after %v", fired)
		}
	})
}
