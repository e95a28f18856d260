package loadgen

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// Run puts load on the servers and returns what it measured. It fails when
// the configuration is wrong ([ConfigError]), when a connection cannot be set
// up, when no message of those to be answered was, or when ctx ends;
// connections lost afterwards are counted in the report instead.
//
// Run raises the process's limit on open files to its hard limit. Several
// runs may go on at once, and then share what the machine has.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, &ConfigError{err}
	}
	servers := newServers(&cfg)
	if _, err := servers.rss(); err != nil {
		return nil, err
	}
	if err := servers.running().fit(cfg.sockets()); err != nil {
		return nil, err
	}
	processes, err := cfg.processes()
	if err != nil {
		return nil, err
	}
	clk, err := newClock()
	if err != nil {
		return nil, fmt.Errorf("socketeer: clock: %w", err)
	}
	r := &run{cfg: &cfg, clock: clk, servers: servers, began: clk.now()}
	if processes > 1 {
		err = r.gather(ctx, processes)
	} else if err = reserveFiles(cfg.sockets()); err == nil {
		r.loops, err = newLoops(&portion{Config: cfg, Parts: 1}, clk)
	}
	if err != nil {
		return nil, err
	}
	defer r.close()
	return r.do(ctx)
}

// processes returns how many the run is shared among.
func (c Config) processes() (int, error) {
	files, err := FileLimit()
	if err != nil {
		return 0, err
	}
	n := max(1, c.Processes)
	if c.Processes == 0 && len(c.Worker) > 0 {
		n = min(MaxProcesses, c.processesFor(files))
	}
	return n, c.fit(n, files)
}

// gather starts the processes that share the run.
func (r *run) gather(ctx context.Context, processes int) error {
	parts, err := portions(*r.cfg, processes)
	if err != nil {
		return &ConfigError{err}
	}
	r.team, err = newTeam(ctx, r.cfg.Worker, parts)
	return err
}

func (r *run) close() {
	for _, l := range r.loops {
		l.close()
	}
	if r.team != nil {
		r.team.close()
	}
}

// run is one run's conductor.
type run struct {
	cfg     *Config
	clock   clock
	servers *servers
	began   int64

	// either: the connections are this process's own, or those of others
	loops []*loop
	team  *team

	report Report
	watch  watch
}

// mark is a moment to measure from or to.
type mark struct {
	at     int64
	tally  tally
	server time.Duration
	own    time.Duration
	all    time.Duration // of the whole machine
}

func (r *run) do(ctx context.Context) (*Report, error) {
	p := newPlan(*r.cfg)
	r.report = Report{
		Mode: r.cfg.Mode, Addrs: r.cfg.Addrs, Conns: r.cfg.Conns, Rate: r.cfg.Rate,
		Payload: r.cfg.Payload, Loops: r.cfg.Loops,
	}
	if r.team != nil {
		r.report.Processes = len(r.team.members)
	}
	if r.cfg.Mode == Direct {
		r.report.To = r.cfg.to()
	}
	if r.cfg.Mode.inRooms() {
		r.report.Room, r.report.Rooms = r.cfg.Room, p.rooms
	}
	if r.cfg.Rate == 0 && r.cfg.Mode != Storm {
		r.report.Inflight = r.cfg.Inflight
	}
	stop := r.watch.start(r)
	err := r.phases(ctx)
	stop()
	if err != nil {
		return nil, err
	}
	r.finish()
	if r.team != nil && r.team.failure() != nil {
		return nil, r.team.failure()
	}
	if err := r.report.unanswered(); err != nil {
		return nil, err
	}
	return &r.report, nil
}

func (r *run) phases(ctx context.Context) error {
	if r.servers.known() {
		before, err := r.servers.rss()
		if err != nil {
			return err
		}
		r.report.Memory = &Memory{BeforeKiB: before}
	}
	if err := r.connect(ctx); err != nil {
		return err
	}
	if r.cfg.Mode == Idle {
		return r.idle(ctx)
	}
	if r.cfg.Mode == Storm {
		return r.storm(ctx)
	}
	if err := r.connected(); err != nil {
		return err
	}
	return r.load(ctx)
}

// together runs f on every loop, and conduct beside them.
func (r *run) together(ctx context.Context, f func(context.Context, *loop) error, conduct func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range r.loops {
		g.Go(func() error { return l.run(func() error { return f(ctx, l) }) })
	}
	if conduct != nil {
		g.Go(func() error { return conduct(ctx) })
	}
	return g.Wait()
}

// all has all connections, in this process or in others, do something that is
// enough once conduct has returned.
func (r *run) all(ctx context.Context, i instruction, conduct func(context.Context) error) error {
	if r.team != nil {
		return r.team.do(ctx, i, conduct)
	}
	var done atomic.Bool
	f, err := i.onLoop(done.Load)
	if err != nil {
		return err
	}
	if conduct == nil {
		return r.together(ctx, f, nil)
	}
	return r.together(ctx, f, func(ctx context.Context) error {
		defer done.Store(true)
		return conduct(ctx)
	})
}

func (r *run) connect(ctx context.Context) error {
	r.watch.phase("connect")
	from, err := r.mark()
	if err != nil {
		return err
	}
	if err := r.all(ctx, instruction{Do: "connect"}, nil); err != nil {
		return err
	}
	to, err := r.mark()
	if err != nil {
		return err
	}
	n := float64(r.cfg.Conns)
	seconds := time.Duration(to.tally.lastAccept - from.at).Seconds()
	r.report.Accept = Accept{
		Seconds: seconds, PerSecond: n / seconds,
		ServerMicros:    (to.server - from.server).Seconds() * 1e6 / n,
		GeneratorMicros: (to.own - from.own).Seconds() * 1e6 / n,
	}
	return nil
}

// connected reads the servers' memory.
func (r *run) connected() error {
	if m := r.report.Memory; m != nil {
		kib, err := r.servers.rss()
		if err != nil {
			return err
		}
		m.ConnectedKiB, m.AfterKiB = kib, kib
		m.PerConnectionKiB = float64(kib-m.BeforeKiB) / float64(r.cfg.Conns)
	}
	return nil
}

func (r *run) idle(ctx context.Context) error {
	r.watch.phase("settle")
	return r.all(ctx, instruction{Do: "hold"}, func(ctx context.Context) error {
		if err := r.sleep(ctx, r.clock.now()+int64(r.cfg.Settle)); err != nil {
			return err
		}
		if err := r.connected(); err != nil || r.cfg.Duration == 0 {
			return err
		}
		r.watch.phase("hold")
		from, err := r.mark()
		if err != nil {
			return err
		}
		if err := r.sleep(ctx, from.at+int64(r.cfg.Duration)); err != nil {
			return err
		}
		to, err := r.mark()
		if err != nil {
			return err
		}
		seconds := time.Duration(to.at - from.at).Seconds()
		r.report.Hold = &Hold{
			Seconds: seconds, Pings: to.tally.pings - from.tally.pings,
			Server: r.serverCPU(from, to, seconds, 0), Generator: newCPU(to.own-from.own, seconds, 0),
		}
		return nil
	})
}

func (r *run) load(ctx context.Context) error {
	start := r.soon()
	w := window{start: start, count: start + int64(r.cfg.Warmup)}
	w.end = w.count + int64(r.cfg.Duration)
	r.watch.loadFrom(start)
	load := instruction{Do: "load", Start: w.start, Count: w.count, End: w.end}
	return r.all(ctx, load, func(ctx context.Context) error {
		return r.beside(ctx, w.count, func(ctx context.Context) error { return r.conduct(ctx, w) })
	})
}

// soon is a time at which all loops can begin something together: they will
// have heard of it.
func (r *run) soon() int64 {
	lead := 10 * time.Millisecond
	if r.team != nil {
		lead = 200 * time.Millisecond
	}
	return r.clock.now() + int64(lead)
}

// conduct takes the marks of a load, and waits until it is over.
func (r *run) conduct(ctx context.Context, w window) error {
	r.watch.phase("warm-up")
	if err := r.sleep(ctx, w.count); err != nil {
		return err
	}
	from, err := r.mark()
	if err != nil {
		return err
	}
	r.watch.phase("measure")
	if err := r.sleep(ctx, w.end); err != nil {
		return err
	}
	to, err := r.mark()
	if err != nil {
		return err
	}
	r.measured(from, to)
	r.watch.phase("drain")
	if err := r.drain(ctx); err != nil || r.report.Memory == nil {
		return err
	}
	r.report.Memory.AfterKiB, err = r.servers.rss()
	return err
}

// measured notes what came between two marks.
func (r *run) measured(from, to mark) {
	seconds := time.Duration(to.at - from.at).Seconds()
	n := to.tally.received - from.tally.received
	r.report.Load = &Load{
		Seconds:  seconds,
		Messages: n, PerSecond: float64(n) / seconds,
		Server: r.serverCPU(from, to, seconds, n), Generator: newCPU(to.own-from.own, seconds, n),
		OtherCores: r.otherCores(from, to, seconds),
	}
}

// otherCores returns what neither the servers nor the generator took; 0 when
// the servers' processes are not known.
func (r *run) otherCores(from, to mark, seconds float64) float64 {
	if !r.servers.known() {
		return 0
	}
	rest := (to.all - from.all) - (to.server - from.server) - (to.own - from.own)
	return max(0, rest.Seconds()/seconds)
}

func (r *run) serverCPU(from, to mark, seconds float64, messages uint64) *CPU {
	if !r.servers.known() {
		return nil
	}
	c := newCPU(to.server-from.server, seconds, messages)
	return &c
}

// drain waits until everything has been sent, for a loop may be late, and has
// arrived, or long enough.
func (r *run) drain(ctx context.Context) error {
	for end := r.clock.now() + int64(r.cfg.Drain); ; {
		t := r.tally()
		if now := r.clock.now(); t.busy == 0 && t.received >= t.expected || now >= end {
			return nil
		}
		if err := r.sleep(ctx, r.clock.now()+int64(5*time.Millisecond)); err != nil {
			return err
		}
	}
}

// finish fills in what is known only when everything has ended.
func (r *run) finish() {
	t := r.tally()
	r.report.Polling = r.polling()
	r.report.Lost = t.lost
	if t.lostWhy != nil {
		r.report.LostWhy = t.lostWhy.Error()
	}
	if s := r.report.Storm; s != nil {
		r.allLatencies()
		s.Return = latencyOf(r.watch.total)
	}
	if r.watch.idle != nil {
		r.watch.idle.idle(r, true)
		r.report.Series = r.watch.idle.series(func(s *Second) *int { return &s.Conns })
	}
	l := r.report.Load
	if l == nil {
		return
	}
	l.Sent, l.Missed, l.Foreign = t.measured, t.missed, t.foreign
	l.Expected, l.Received = t.expected, t.received
	l.Missing = t.missing()
	l.Misordered, l.Duplicated = t.misordered, t.duplicated
	if r.cfg.Mode == Drops {
		r.report.Drops = r.delivery(t)
	}
	if r.cfg.Mode == Deploy {
		r.report.Deploy = r.deployment(t)
	}
	r.allLatencies()
	l.Latency, l.Series = latencyOf(r.watch.total), r.watch.series
}

// allLatencies adds what was recorded since the last look.
func (r *run) allLatencies() {
	_, h := r.collect()
	r.watch.total.Merge(h)
}

func (r *run) mark() (mark, error) {
	m, err := r.bareMark()
	m.tally = r.tally()
	return m, err
}

// bareMark is a mark without what was counted: it asks no other process.
func (r *run) bareMark() (mark, error) {
	server, err := r.servers.cpu()
	return mark{at: r.clock.now(), server: server, own: r.generatorCPU(), all: machineCPU()}, err
}

func (r *run) tally() tally {
	if r.team != nil {
		return r.team.collect(nil)
	}
	t, _ := collect(r.loops, false)
	return t
}

// collect returns what was counted so far, and the latencies since the last
// call.
func (r *run) collect() (tally, *hdrhistogram.Histogram) {
	if r.team == nil {
		return collect(r.loops, true)
	}
	h := newHistogram()
	return r.team.collect(h), h
}

// generatorCPU returns the CPU time of all processes the load comes from.
func (r *run) generatorCPU() time.Duration {
	own := ownCPU()
	if r.team != nil {
		others, err := r.team.pids().cpu()
		if err != nil {
			return own // one has ended: the run fails for it
		}
		own += others
	}
	return own
}

func (r *run) sleep(ctx context.Context, until int64) error {
	t := time.NewTimer(r.clock.until(until))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watch follows a run second by second.
type watch struct {
	mu    sync.Mutex
	now   string
	since int64 // the load's start

	// owned by the watching goroutine, then by whoever stopped it
	last   mark
	series []Second
	idle   *course // in Idle
	total  *hdrhistogram.Histogram
}

func (w *watch) phase(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = name
}

func (w *watch) loadFrom(at int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = at
}

// start looks every second until the function it returns is called, and more
// often in Idle.
func (w *watch) start(r *run) (stop func()) {
	w.total = newHistogram()
	w.last = mark{at: r.clock.now(), own: r.generatorCPU()}
	w.last.server, _ = r.servers.cpu()
	quit, done := make(chan struct{}), make(chan struct{})
	if r.cfg.Mode == Idle {
		w.idle = newCourse(w.last, 0)
	}
	go func() {
		defer close(done)
		tick, step := time.NewTicker(time.Second), time.NewTicker(shortStep)
		defer tick.Stop()
		defer step.Stop()
		for {
			select {
			case <-tick.C:
				w.look(r)
			case <-step.C:
				if w.idle != nil {
					w.idle.idle(r, false)
				}
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

// look measures the last second. A server that is gone shows as zero here;
// the run itself fails for it at its next mark.
func (w *watch) look(r *run) {
	w.mu.Lock()
	phase, since := w.now, w.since
	w.mu.Unlock()

	m := mark{at: r.clock.now(), own: r.generatorCPU()}
	m.server, _ = r.servers.cpu()
	var second *hdrhistogram.Histogram
	m.tally, second = r.collect()
	w.total.Merge(second)

	seconds := time.Duration(m.at - w.last.at).Seconds()
	per := func(n uint64) float64 { return float64(n) / seconds }
	p := Progress{
		Phase: phase, Since: time.Duration(m.at - r.began), Conns: m.tally.accepted, Of: r.cfg.Conns,
		Rate: per(m.tally.received - w.last.tally.received), Sent: m.tally.sent,
		Missed: m.tally.missed, Missing: m.tally.missing(), Lost: m.tally.lost, Failed: m.tally.failed, Away: m.tally.away(),
		P50:            time.Duration(second.ValueAtQuantile(50)) * time.Microsecond,
		P99:            time.Duration(second.ValueAtQuantile(99)) * time.Microsecond,
		ServerCores:    (m.server - w.last.server).Seconds() / seconds,
		ServerKiB:      r.servers.roughRSS(),
		GeneratorCores: (m.own - w.last.own).Seconds() / seconds,
	}
	if phase == "connect" {
		p.Rate = per(uint64(m.tally.accepted - w.last.tally.accepted))
	}
	if phase == "storm" {
		p.Conns = m.tally.back()
		p.Rate = per(uint64(m.tally.returned - w.last.tally.returned))
	}
	if since > 0 {
		w.series = append(w.series, Second{
			At: time.Duration(m.at - since).Seconds(), PerSecond: p.Rate, Away: p.Away, P50: ms(p.P50), P99: ms(p.P99),
			ServerCores: p.ServerCores, ServerKiB: p.ServerKiB, GeneratorCores: p.GeneratorCores,
		})
	}
	w.last = m
	r.cfg.Progress(p)
}
