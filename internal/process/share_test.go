package process_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/socketeer-io/socketeer/internal/process"
)

func TestShare(t *testing.T) {
	all := runtime.GOMAXPROCS(0)
	given := append(make([]string, 0, 8), "A=b")
	for n, want := range map[int]int{1: all, all: 1, 3 * all: 1} {
		got := process.Share(given, n)
		if !slices.Equal(got, []string{"A=b", fmt.Sprint("GOMAXPROCS=", want)}) {
			t.Errorf("%d share %d: got %v", n, all, got)
		}
	}
	if got := process.Share([]string{"GOMAXPROCS=7"}, 3); !slices.Equal(got, []string{"GOMAXPROCS=7"}) {
		t.Errorf("got %v", got)
	}
}
