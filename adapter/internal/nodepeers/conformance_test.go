package nodepeers_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/adaptertest"
)

func TestConformance(t *testing.T) {
	for name, classic := range map[string]bool{"classic": true, "sharded": false} {
		t.Run(name, func(t *testing.T) {
			adaptertest.Run(t, func(tb testing.TB, n int) (list []adapter.Factory) {
				h := newHub(classic)
				for i := range n {
					list = append(list, h.start(tb, fmt.Sprint("n", i)))
				}
				for _, f := range list {
					if err := f.(*node).WaitPeers(patient(tb), n-1); err != nil {
						tb.Fatal(err)
					}
				}
				return list
			}, adaptertest.Options{
				Lacks: adaptertest.Verbatim | adaptertest.Interest,
				Kill: func(_ testing.TB, f adapter.Factory) {
					ctx, cancel := context.WithCancel(context.Background())
					cancel()
					f.(*node).close(ctx)
				},
			})
		})
	}
}
