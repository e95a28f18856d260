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

// Sources returns the number of each portion's first source address.
func Sources(c Config, processes int) (sources []int) {
	parts, _ := portions(c.withDefaults(), processes)
	for _, p := range parts {
		sources = append(sources, p.Source)
	}
	return sources
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

// ThinCourse returns the steps that are left of a course of n moments, one each
// 100 ms, and the time until the next.
func ThinCourse(n int) (steps []Second, next time.Duration) {
	c := newCourse(mark{}, 0)
	for i := range n {
		now := int64(i+1) * int64(shortStep)
		if !c.due(now) {
			continue
		}
		c.moments = append(c.moments, moment{at: now, there: i + 1, arrived: i + 1})
		c.thin()
	}
	return c.series(func(s *Second) *int { return &s.Conns }), time.Duration(c.step)
}

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
