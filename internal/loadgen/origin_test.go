package loadgen_test

import (
	"testing"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

func TestMachine(t *testing.T) {
	for want, m := range map[string]loadgen.Machine{
		"":                                    {},
		"2 cores EPYC · Linux 6.18 · Go 1.26": {Cores: 2, CPU: "EPYC", Kernel: "Linux 6.18", Go: "1.26"},
		"1 core":                              {Cores: 1},
		"Xeon · Go 1.26":                      {CPU: "Xeon", Go: "1.26"},
	} {
		if got := m.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if m := loadgen.ThisMachine(); m.Cores == 0 || m.CPU == "" || m.Kernel == "" || m.Go == "" {
		t.Errorf("got %+v", m)
	}
}
