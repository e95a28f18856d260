package session_test

import (
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/test/bench/internal/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOrder(t *testing.T) {
	all := []string{"a", "b", "c", "d"}
	for n := 2; n <= len(all); n++ {
		things := all[:n]
		first := map[string]int{}
		var before []string
		for round := range 2 * n {
			order := session.Order(things, round)
			if slices.Equal(order, before) {
				t.Errorf("%d: round %d has the order of the one before: %v", n, round, order)
			}
			before = order
			if sorted := slices.Sorted(slices.Values(order)); !slices.Equal(sorted, things) {
				t.Errorf("%d: round %d is %v", n, round, order)
			}
			first[order[0]]++
		}
		for _, thing := range things {
			if first[thing] != 2 && n > 2 || first[thing] != n && n == 2 {
				t.Errorf("%d: %s is first in %d of %d rounds", n, thing, first[thing], 2*n)
			}
		}
	}
	if got := session.Order(all[:1], 3); !slices.Equal(got, all[:1]) {
		t.Errorf("got %v", got)
	}
}
