package askonce_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/socketeer-io/socketeer/adapter/internal/askonce"
)

func TestOneQuestionForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		answers := make(chan int)
		q := askonce.New(func(context.Context) (int, error) { asked++; return <-answers, nil })
		var wg sync.WaitGroup
		ask := func(want int) {
			wg.Go(func() {
				if got, err := q.Ask(t.Context()); got != want || err != nil {
					t.Errorf("got %d, %v, want %d", got, err, want)
				}
			})
		}
		ask(1)
		synctest.Wait()
		for range 100 { // while that one is on its way: its answer may be too old for them
			ask(2)
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := q.Ask(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		answers <- 1
		answers <- 2
		wg.Wait()
		if asked != 2 {
			t.Errorf("asked %d times", asked)
		}
	})
}
