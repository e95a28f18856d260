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

// Pass returns the times and the numbers of clients of several processes, put
// together as they are told, and the error of a process that tells nonsense.
func Pass(times [][]int64, got [][]uint32) (sum Latency, n int64, all []uint32, nonsense error) {
	c := newClients()
	for i := range times {
		one := newClients()
		for _, us := range times[i] {
			_ = one.absences.RecordValue(us)
			_ = one.attempts.RecordValue(us)
		}
		one.got, one.sent = got[i], got[i]
		f, err := one.pack()
		if err == nil {
			err = c.unpack(f)
		}
		if err != nil {
			return Latency{}, 0, nil, err
		}
	}
	nonsense = c.unpack(&fared{Got: []uint32{1}})
	if c.attempts.TotalCount() != c.absences.TotalCount() {
		return Latency{}, 0, nil, nonsense
	}
	return latencyOf(c.absences), c.absences.TotalCount(), c.got, nonsense
}
