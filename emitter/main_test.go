package emitter_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/emitter"
)

func TestMain(m *testing.M) {
	// The client of a Redis Cluster closes connections to nodes that it does not
	// use any more after some seconds.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"))
}

// patience is how long anything may take that must happen.
const patience = 30 * time.Second

func patient(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	return ctx
}

// open opens an emitter that must have lost nothing at the end, or have said
// so.
func open(tb testing.TB, o emitter.Options) *emitter.Emitter {
	tb.Helper()
	e, err := emitter.New(patient(tb), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { must(tb, e.Close()) })
	return e
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func eventually(tb testing.TB, what string, f func() bool) {
	tb.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !f() {
		select {
		case <-tick.C:
		case <-limit:
			tb.Fatal("waited in vain for " + what)
		}
	}
}
