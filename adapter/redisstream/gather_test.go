package redisstream

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestEntriesThatComeOftenAreReadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r reader
		gathers := func(often bool, brought int) bool {
			start := time.Now()
			r.gather(t.Context(), often, brought)
			return time.Since(start) == gather
		}
		if gathers(false, 1) {
			t.Error("waited for entries that come seldom")
		}
		for i := range 3 {
			if !gathers(true, min(i+1, 2)) {
				t.Error("did not wait for entries that come often")
			}
		}
		waits := 0
		for range 1000 {
			if gathers(true, 1) {
				waits++
			}
		}
		if waits > 30 {
			t.Errorf("waited in vain %d times of 1,000", waits)
		}
	})
}
