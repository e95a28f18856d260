package loadgen_test

import (
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// tableOf returns the report as people read it.
func tableOf(t *testing.T, r *loadgen.Report) string {
	t.Helper()
	var table strings.Builder
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	return table.String()
}

func TestRunBroadcast(t *testing.T) {
	addr := newServer(t)
	for name, rate := range map[string]float64{"saturated": 0, "paced": 2400} {
		t.Run(name, func(t *testing.T) {
			cfg := short(loadgen.Broadcast, addr)
			cfg.Rate = rate
			r := mustRun(t, cfg)
			checkLoad(t, cfg, r)
			if r.Room != cfg.Conns || r.Rooms != 1 || r.Load.Expected%uint64(cfg.Conns) != 0 {
				t.Errorf("%d rooms of %d, %d deliveries", r.Rooms, r.Room, r.Load.Expected)
			}
			if s := tableOf(t, r); !strings.Contains(s, "broadcast to 24, ") || !strings.Contains(s, "per delivery") {
				t.Error(s)
			}
		})
	}
}
