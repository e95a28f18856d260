package departed_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/socketeer-io/socketeer/adapter/internal/departed"
	"github.com/socketeer-io/socketeer/cluster"
)

func event(kind cluster.EventKind, incarnation string) cluster.Event {
	return cluster.Event{Kind: kind, Member: cluster.Member{Identity: cluster.Identity{Incarnation: incarnation}}}
}

func TestWhoWasSeenToEndIsGone(t *testing.T) {
	var n departed.Nodes
	since := time.Now()
	n.Note(event(cluster.Joined, "a"))
	n.Note(event(cluster.Left, "b"))
	n.Note(event(cluster.Died, "c"))
	for incarnation, want := range map[string]bool{"a": false, "b": true, "c": true, "d": false} {
		if got := n.Gone(incarnation, since); got != want {
			t.Errorf("%s gone: %v, want %v", incarnation, got, want)
		}
	}
}

func TestWhoWasNotHeardOfIsGone(t *testing.T) {
	for name, tc := range map[string]struct {
		interval, timeout, want time.Duration
	}{
		"timeout":  {interval: time.Minute, timeout: time.Second, want: time.Second},
		"interval": {interval: time.Minute, want: cluster.DefaultTimeoutIntervals * time.Minute},
		"defaults": {want: cluster.DefaultTimeoutIntervals * cluster.DefaultInterval},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := departed.Nodes{Interval: tc.interval, Timeout: tc.timeout}
				since := time.Now()
				<-time.After(2 * tc.want)
				if n.Gone("a", since) {
					t.Error("gone too early")
				}
				<-time.After(1)
				if !n.Gone("a", since) {
					t.Error("not gone")
				}
			})
		})
	}
}

func TestTheLatestAreRemembered(t *testing.T) {
	var n departed.Nodes
	since := time.Now()
	for i := range departed.Max + 1 {
		for range 2 { // the second time is nothing new
			n.Note(event(cluster.Died, strconv.Itoa(i)))
		}
	}
	if n.Gone("0", since) || !n.Gone("1", since) || !n.Gone(strconv.Itoa(departed.Max), since) {
		t.Error("not the latest are remembered")
	}
}
