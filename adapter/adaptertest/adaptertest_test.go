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

func TestMemoryLog(t *testing.T) {
	adaptertest.RunLog(t, func(testing.TB, int) []adapter.Factory {
		return []adapter.Factory{adapter.Memory{LogBytes: 1 << 20}}
	}, adaptertest.LogOptions{
		Trim: func(_ testing.TB, _ string, emit func()) {
			for range 1000 {
				emit()
			}
		},
	})
}
