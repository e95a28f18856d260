package loadgen_test

import (
	"math"
	"slices"
	"testing"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

func TestPortions(t *testing.T) {
	for _, tt := range []struct {
		name      string
		cfg       loadgen.Config
		processes int
		conns     []int
	}{
		{"echo", loadgen.Config{Mode: loadgen.Echo, Conns: 10}, 3, []int{3, 3, 4}},
		{"pairs", loadgen.Config{Mode: loadgen.Direct, Conns: 10}, 3, []int{2, 4, 4}},
		{"rooms", loadgen.Config{Mode: loadgen.Rooms, Conns: 1000, Room: 100}, 3, []int{300, 300, 400}},
		{"storm", loadgen.Config{Mode: loadgen.Storm, Conns: 1000, Room: 100}, 4, []int{200, 300, 200, 300}},
		{"drops", loadgen.Config{Mode: loadgen.Drops, Conns: 1000, Room: 100}, 2, []int{500, 500}},
		{"a smaller room", loadgen.Config{Mode: loadgen.Rooms, Conns: 250, Room: 100}, 3, []int{100, 100, 50}},
	} {
		cfg := tt.cfg
		cfg.Addrs = []string{"a", "b"}
		if cfg.Mode != loadgen.Storm && cfg.Mode != loadgen.Drops {
			cfg.Rate = 1000
		}
		want := cfg.Rate
		if cfg.Mode == loadgen.Drops {
			want = 2000 // a message each 500 ms
		}
		parts, err := loadgen.Portions(cfg, tt.processes)
		if err != nil || len(parts) != len(tt.conns) {
			t.Fatalf("%s: %d parts, %v", tt.name, len(parts), err)
		}
		rate, first := 0.0, 0
		for i, p := range parts {
			if p.Conns != tt.conns[i] || p.Room > p.Conns || p.Addrs[0] != cfg.Addrs[first%2] || p.Loops > p.Conns {
				t.Errorf("%s: part %d is %+v", tt.name, i, p)
			}
			rate += p.Rate
			first += p.Conns
		}
		if math.Abs(rate-want) > 1e-6 || first != cfg.Conns {
			t.Errorf("%s: %d connections, rate %g", tt.name, first, rate)
		}
	}
}

func TestProcessesFor(t *testing.T) {
	for _, tt := range []struct {
		cfg   loadgen.Config
		files uint64
		want  int
	}{
		{loadgen.Config{Mode: loadgen.Echo, Conns: 10_000}, 20_000, 1},
		{loadgen.Config{Mode: loadgen.Echo, Conns: 50_000}, 20_000, 3},
		{loadgen.Config{Mode: loadgen.Rooms, Conns: 100_000, Room: 100}, 20_000, 6},
		{loadgen.Config{Mode: loadgen.Echo, Conns: 20_000, Polling: 1}, 20_000, 3},
		{loadgen.Config{Mode: loadgen.Rooms, Conns: 50_000, Room: 50_000}, 20_000, 1},
		{loadgen.Config{Mode: loadgen.Storm, Conns: 50_000, Room: 100}, 20_000, 3},
		{loadgen.Config{Mode: loadgen.Drops, Conns: 20_000, Room: 100, Polling: 0.5}, 20_000, 2},
		{loadgen.Config{Mode: loadgen.Deploy, Conns: 19_900, Room: 100}, 20_000, 1},
		{loadgen.Config{Mode: loadgen.Echo, Conns: 1_000_000}, math.MaxUint64, 1},
	} {
		if got := loadgen.ProcessesFor(tt.cfg, tt.files); got != tt.want {
			t.Errorf("%d processes, want %d for %d files and %+v", got, tt.want, tt.files, tt.cfg)
		}
	}
}

// TestSources has a source address for each 25,000 connections to a server,
// and for each 8,000 where they come back.
func TestSources(t *testing.T) {
	for _, tt := range []struct {
		cfg  loadgen.Config
		want []int
	}{
		{loadgen.Config{Mode: loadgen.Echo, Conns: 50_000}, []int{0, 1, 2}},
		{loadgen.Config{Mode: loadgen.Echo, Conns: 50_000, Polling: 0.1}, []int{0, 2, 4}},
		{loadgen.Config{Mode: loadgen.Storm, Conns: 50_000, Room: 100}, []int{0, 3, 6}},
		{loadgen.Config{Mode: loadgen.Deploy, Conns: 24_000, Room: 100}, []int{0, 1, 2}},
		{loadgen.Config{Mode: loadgen.Drops, Conns: 24_100, Room: 100}, []int{0, 2, 4}}, // the largest has 8,100
	} {
		tt.cfg.Addrs = []string{"a"}
		if got := loadgen.Sources(tt.cfg, 3); !slices.Equal(got, tt.want) {
			t.Errorf("%+v from %v, want %v", tt.cfg, got, tt.want)
		}
	}
}
