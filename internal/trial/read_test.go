package trial_test

import (
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/socketeer-io/socketeer/internal/benchpage"
	"github.com/socketeer-io/socketeer/internal/loadgen"
	"github.com/socketeer-io/socketeer/internal/trial"
)

func TestReadSheetRefuses(t *testing.T) {
	for text, none := range map[string]bool{
		``: true, `[]`: true, `{}`: true, `{"mode": "rooms"}`: true,
		`{"rows": [{"row": 1, "report": {}}]}`:             false,
		`{"rows": {}}`:                                     false,
		`{"formula": 1}`:                                   false,
		`{"nodes": {"points": [{}]}, "connections": {}}`:   false,
		`{"connections": {"points": [{"report": {}}]}}`:    false,
		`{"connections": {"points": [{"report": "none"}]}`: true,
	} {
		if _, err := trial.ReadSheet([]byte(text)); err == nil || errors.Is(err, trial.ErrNoSheet) != none {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzReadSheet shows what it could read.
func FuzzReadSheet(f *testing.F) {
	run := &loadgen.Report{Mode: loadgen.Rooms, Load: &loadgen.Load{Server: &loadgen.CPU{}}, Memory: &loadgen.Memory{}}
	for _, r := range []any{
		trial.TableReport{Rows: []trial.RowReport{{Number: 1, Scale: 1, Report: run}, {Error: "failed"}}, Model: known()},
		trial.GrowthReport{Nodes: trial.Curve{Points: []trial.Point{{Report: run}}}, Conns: trial.Curve{Stopped: "here"}},
		known(),
	} {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := trial.ReadSheet(b)
		if err != nil {
			return
		}
		if err := benchpage.WriteSheet(io.Discard, s); err != nil {
			t.Error(err)
		}
	})
}
