package loadgen

// Portions returns the configurations of the portions.
func Portions(c Config, processes int) ([]Config, error) {
	parts, err := portions(c.withDefaults(), processes)
	configs := make([]Config, len(parts))
	for i, p := range parts {
		configs[i] = p.Config
	}
	return configs, err
}

// Sources returns the number of each portion's first source address.
func Sources(c Config, processes int) (sources []int) {
	parts, _ := portions(c.withDefaults(), processes)
	for _, p := range parts {
		sources = append(sources, p.Source)
	}
	return sources
}

func ProcessesFor(c Config, files uint64) int { return c.withDefaults().processesFor(files) }

const SpareFiles = spareFiles
