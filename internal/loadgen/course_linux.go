package loadgen

import "time"

const (
	// shortStep is the time between two points of a storm's course. All are
	// back within two seconds when nothing holds them up.
	shortStep = 100 * time.Millisecond
	// maxSteps bounds a course: the points of a long wait are further apart.
	maxSteps = 600
)

// course is the way back of the connections of a storm.
type course struct {
	step    int64
	moments []moment // the first is the cut
}

// moment is what is known of a storm at a time.
type moment struct {
	at             int64
	back, returned int
	server, own    time.Duration
	kib            int64
}

func newCourse(from mark, longest time.Duration) *course {
	return &course{
		step:    int64(max(shortStep, longest/maxSteps)),
		moments: []moment{{at: from.at, server: from.server, own: from.own}},
	}
}

// due reports whether the next moment is to be noted, give or take half a
// glance.
func (c *course) due(now int64) bool {
	return now-c.moments[len(c.moments)-1].at > c.step-int64(glance)/2
}

// note adds a moment. The time of a server that is gone counts as zero: the run
// itself fails for it at its next mark.
func (c *course) note(r *run, now int64, t *tally, kib int64) {
	server, _ := r.servers.cpu()
	c.moments = append(c.moments, moment{
		at: now, back: t.back(), returned: t.returned, server: server, own: r.generatorCPU(), kib: kib,
	})
}

// series is the course step by step. A last step that is too short for a rate
// is one with that before it.
func (c *course) series() []Second {
	m := c.moments
	if n := len(m); n > 2 && m[n-1].at-m[n-2].at < c.step/2 {
		m = append(m[:n-2:n-2], m[n-1])
	}
	series := make([]Second, 0, len(m)-1)
	for i, now := range m[1:] {
		before := m[i]
		seconds := max(time.Duration(now.at-before.at), time.Microsecond).Seconds()
		series = append(series, Second{
			At: time.Duration(now.at - m[0].at).Seconds(), PerSecond: float64(now.returned-before.returned) / seconds, Back: now.back,
			ServerCores: max(0, (now.server-before.server).Seconds()/seconds), ServerKiB: now.kib,
			GeneratorCores: max(0, (now.own-before.own).Seconds()/seconds),
		})
	}
	return series
}
