package loadgen_test

import (
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// A server that has served before holds connections in what it kept.
func TestMemoryOfServerThatHasServed(t *testing.T) {
	for kib, want := range map[float64]string{
		4.76:   "4.76 KiB (9,000 KiB before, 8,900 connected)",
		-0.621: "- (9,000 KiB before, 8,900 connected: served from what was left of before; start the server afresh)",
		0:      "- (9,000 KiB before",
	} {
		r := loadgen.Report{Mode: loadgen.Idle, Memory: &loadgen.Memory{BeforeKiB: 9000, ConnectedKiB: 8900, PerConnectionKiB: kib}}
		if got := value(&r, "memory per connection"); !strings.HasPrefix(got, want) {
			t.Errorf("%g KiB: %q", kib, got)
		}
	}
}

// Connections that a server took with it and that came back are no fault.
func TestLostInDeployment(t *testing.T) {
	for lost, want := range map[int]string{374: "", 376: "2 (why)"} {
		r := loadgen.Report{Mode: loadgen.Deploy, Deploy: &loadgen.Deployment{Fallen: 374}, Lost: lost, LostWhy: "why"}
		if got := value(&r, "lost connections"); got != want {
			t.Errorf("%d lost: %q", lost, got)
		}
	}
	r := loadgen.Report{Mode: loadgen.Rooms, Lost: 3, LostWhy: "why"}
	if got := value(&r, "lost connections"); got != "3 (why)" {
		t.Errorf("in rooms: %q", got)
	}
}

// value returns the text in a report's row, "" when there is none.
func value(r *loadgen.Report, name string) string {
	for _, row := range r.Rows() {
		if row.Name == name {
			return row.Value
		}
	}
	return ""
}
