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

func ProcessesFor(c Config, files uint64) int { return c.withDefaults().processesFor(files) }

const SpareFiles = spareFiles
