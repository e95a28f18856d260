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
	all := r.clients()
	d.Gap, d.Reconnect, d.Back = latencyOf(all.absences), latencyOf(all.attempts), all.ready
	d.Worst = 100
	numbers := make([]int, len(all.got))
	for i, got := range all.got {
		numbers[i] = int(got)
		sent := all.sent[i]
		if got >= sent {
			d.Whole++
			continue
		}
		d.Worst = min(d.Worst, 100*float64(got)/float64(sent))
	}
	slices.Sort(numbers)
	if n := len(numbers); n > 0 {
		d.Histogram = ranges(numbers, (numbers[n-1]-numbers[0])/20+1)
	}
	d.BackPercent = 100 * float64(d.Back) / float64(r.cfg.Conns)
	return d
}
