package loadgen

import "time"

const (
	// shortStep is the time between two points of the course of a storm, or of
	// Idle. All are back within two seconds when nothing holds them up.
	shortStep = 100 * time.Millisecond
	// maxSteps bounds a course: the points of a long wait are further apart.
	maxSteps = 600
)

// course is the way back of the connections of a storm, or how those of Idle
// come in and stay.
type course struct {
	step    int64
	moments []moment // the first is the cut, or when the first is opened
}

// moment is what is known at a time.
type moment struct {
	at             int64
	there, arrived int // connections: those there are, and how often one came in
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

// note adds a moment: how many connections there are, and how often one came
// in. The time of a server that is gone counts as zero: the run itself fails
// for it at its next mark.
func (c *course) note(r *run, now int64, there, arrived int, kib int64) {
	server, _ := r.servers.cpu()
	c.moments = append(c.moments, moment{
		at: now, there: there, arrived: arrived, server: server, own: r.generatorCPU(), kib: kib,
	})
}

// thin leaves every other moment out when there are too many, and takes fewer
// from then on.
func (c *course) thin() {
	if len(c.moments) <= maxSteps {
		return
	}
	kept := c.moments[:0]
	for i, m := range c.moments {
		if i%2 == 0 {
			kept = append(kept, m)
		}
	}
	c.moments = kept
	c.step *= 2
}

// idle notes, when it is time or the run has ended, the connections there are.
func (c *course) idle(r *run, ended bool) {
	now := r.clock.now()
	if !ended && !c.due(now) {
		return
	}
	t := r.tally()
	c.note(r, now, t.accepted-t.lost, t.accepted, r.servers.roughRSS())
	c.thin()
}

// series is the course step by step; is says what the connections there are
// count as. A last step that is too short for a rate is one with that before
// it.
func (c *course) series(is func(*Second) *int) []Second {
	m := c.moments
	if n := len(m); n > 2 && m[n-1].at-m[n-2].at < c.step/2 {
		m = append(m[:n-2:n-2], m[n-1])
	}
	series := make([]Second, 0, len(m)-1)
	for i, now := range m[1:] {
		before := m[i]
		seconds := max(time.Duration(now.at-before.at), time.Microsecond).Seconds()
		s := Second{
			At: time.Duration(now.at - m[0].at).Seconds(), PerSecond: float64(now.arrived-before.arrived) / seconds,
			ServerCores: max(0, (now.server-before.server).Seconds()/seconds), ServerKiB: now.kib,
			GeneratorCores: max(0, (now.own-before.own).Seconds()/seconds),
		}
		*is(&s) = now.there
		series = append(series, s)
	}
	return series
}
