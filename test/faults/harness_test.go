// Package faults_test breaks the Redis under whole nodes, and the nodes
// themselves, while numbered messages flow between them, and looks at what each
// client got of each sender in each room: what is missing, what came twice, what
// came out of order. docs/faults.md has what each adapter promises.
package faults_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/internal/cli"
)

// asCommand makes the test binary be the command: a node that can be killed.
const asCommand = "FAULTS_TEST_AS_COMMAND"

// together is how many tests run at the same time. They wait most of the time:
// for Redis to come back, for a failover.
const together = "6"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Exit(cli.Main(os.Args[1:]))
	}
	flag.Parse()
	if err := flag.Set("test.parallel", together); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	// Five seconds after a cluster's topology has changed rueidis closes the
	// connections that are not needed any more, even if the client is closed.
	// And within a second it looks at the topology.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
}

// patience is how long anything may take that must happen.
const patience = 45 * time.Second

func patient(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	return ctx
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(patience); !cond(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// lasts waits: the fault is that something does not end sooner.
func lasts(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}

var prefixes atomic.Int64

// unique returns a prefix for what a cluster has in Redis.
func unique() string { return fmt.Sprint("faults", prefixes.Add(1)) }
