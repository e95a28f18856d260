package adaptertest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/adaptertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	adaptertest.Run(t, func(testing.TB, int) []adapter.Factory {
		return []adapter.Factory{adapter.Memory{}}
	}, adaptertest.Options{Nodes: 1})
}
