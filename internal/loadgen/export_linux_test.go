package loadgen

import "time"

// Portions returns the configurations of the portions.
func Portions(c Config, processes int) ([]Config, error) {
	parts, err := portions(c.withDefaults(), processes)
	configs := make([]Config, len(parts))
	for i, p := range parts {
		configs[i] = p.Config
	}
	return configs, err
}

func ProcessesFor(c Config, files uint64) int { return c.withDefaults().processesFor(files) }

// ServersCPU returns what reads the CPU time of servers that are replaced.
func ServersCPU(now func() ([]int, time.Duration)) func() time.Duration {
	s := newServers(&Config{Servers: now})
	return func() time.Duration {
		used, _ := s.cpu() // of such servers: no error
		return used
	}
}
