package respite_test

import (
	"testing"

	"github.com/socketeer-io/socketeer/internal/respite"
)

func TestEachWaitInVainIsFollowedByALongerRest(t *testing.T) {
	var r respite.Rest
	rests := func() (times int) {
		for !r.Over() {
			times++
		}
		return times
	}
	if n := rests(); n != 0 {
		t.Errorf("began with a rest of %d", n)
	}
	for range 2 {
		for _, want := range []int{1, 3, 7, 15, 31, 63, respite.Max, respite.Max} {
			r.Waited(false)
			if n := rests(); n != want {
				t.Errorf("rested %d times, want %d", n, want)
			}
		}
		r.Waited(true)
		if n := rests(); n != 0 {
			t.Errorf("after a wait that was of use it rested %d times", n)
		}
	}
}
