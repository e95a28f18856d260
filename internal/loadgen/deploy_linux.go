package loadgen

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"
)

// beside runs f, and from the time given Config.During.
func (r *run) beside(ctx context.Context, from int64, f func(context.Context) error) error {
	if r.cfg.During == nil {
		return f(ctx)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f(ctx) })
	g.Go(func() error {
		if err := r.sleep(ctx, from); err != nil {
			return err
		}
		return r.cfg.During(ctx)
	})
	return g.Wait()
}

// deployment reports how the clients fared. The loops have ended.
func (r *run) deployment(t tally) *Deployment {
	d := &Deployment{
		Fallen: t.fallen, Returned: t.returned, Passed: t.passed, Failed: t.failed,
		Recover: r.cfg.Recover, Recovered: t.recovered,
		Expected: t.expected, Delivered: t.received,
	}
	if t.failedWhy != nil {
		d.FailedWhy = t.failedWhy.Error()
	}
	if d.Expected > 0 {
		d.Percent = 100 * float64(d.Delivered) / float64(d.Expected)
	}
	sent := make(map[uint32]uint32) // to each room
	gaps, attempts := newHistogram(), newHistogram()
	for _, l := range r.loops {
		gaps.Merge(l.absences)
		attempts.Merge(l.attempts)
		for i := range l.conns {
			if c := &l.conns[i]; c.slot >= 0 {
				sent[c.tag] += c.seq
			}
		}
	}
	d.Gap, d.Reconnect = latencyOf(gaps), latencyOf(attempts)
	d.Worst = 100
	var got []int
	for _, l := range r.loops {
		for i := range l.conns {
			c := &l.conns[i]
			if c.state == ready {
				d.Back++
			}
			got = append(got, int(c.comeback.got))
			all := sent[c.tag]
			if c.comeback.got >= all {
				d.Whole++
				continue
			}
			d.Worst = min(d.Worst, 100*float64(c.comeback.got)/float64(all))
		}
	}
	slices.Sort(got)
	d.Histogram = ranges(got, (got[len(got)-1]-got[0])/20+1)
	d.BackPercent = 100 * float64(d.Back) / float64(r.cfg.Conns)
	return d
}
