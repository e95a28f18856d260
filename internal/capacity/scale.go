package capacity

import (
	"fmt"
	"math"
)

// Machine is what there is to run a load on.
type Machine struct {
	Cores     float64 `json:"cores"`      // processors
	MemoryKiB float64 `json:"memory_kib"` // free
	Files     uint64  `json:"files"`      // one process may open
}

// Margins left when a load is fitted to a machine: a processor that is nearly
// always busy shows in every latency.
const (
	coresUsed  = 0.65
	memoryUsed = 0.7
	filesSpare = 128
)

// Nodes returns the fewest servers that may open files for so many TCP
// connections, dealt to them evenly; 1 when a process may not open files for
// any.
func (on Machine) Nodes(conns int) int {
	if on.Files <= filesSpare {
		return 1
	}
	per := float64(on.Files) - filesSpare
	return max(1, int(math.Ceil(float64(conns)/per)))
}

// Fit returns the fraction of a load, at most 1, that fits the machine, and
// what keeps it from the whole. The generator runs on the machine too, in as
// many processes as it takes.
func (m *Model) Fit(l Load, on Machine) (scale float64, limit string) {
	scale, limit = 1, "nothing"
	least := func(v float64, what string) {
		if v < scale {
			scale, limit = math.Max(v, 0), what
		}
	}
	per := float64(l.Conns) / float64(max(1, l.Nodes))
	least((float64(on.Files)-filesSpare)/(float64(l.Sockets())/float64(max(1, l.Nodes))), fmt.Sprintf("file limit: %.0f connections on a server that may open %d files", per, on.Files))
	need := m.Predict(l)
	least((memoryUsed*on.MemoryKiB-m.NodeKiB*float64(l.Nodes))/math.Max(1, need.MemoryKiB-m.NodeKiB*float64(l.Nodes)),
		fmt.Sprintf("memory: %.1f of %.1f GiB free", need.MemoryKiB/(1<<20), on.MemoryKiB/(1<<20)))
	// The nodes' own share does not shrink with the load.
	fixed := m.NodeCores * float64(l.Nodes)
	least((coresUsed*on.Cores-fixed)/math.Max(1e-9, need.Cores()-fixed),
		fmt.Sprintf("CPU: %.1f cores needed, generator included, of %.0f", need.Cores(), on.Cores))
	return scale, limit
}

// Scaled returns a fraction of a load: of its connections and its rate, but
// not of its nodes, nor of its rooms' members. Rooms are kept whole.
func (l Load) Scaled(by float64) Load {
	rooms := math.Max(1, math.Round(float64(l.Conns)*by/float64(l.Room)))
	conns := int(rooms) * l.Room
	l.Deliveries *= float64(conns) / float64(l.Conns)
	l.Conns = conns
	return l
}
