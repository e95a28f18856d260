package queue

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Defaults of [ConsumeOptions].
const (
	DefaultConcurrency = 1
	DefaultMinIdle     = 30 * time.Second
	DefaultMaxTries    = 5
	DefaultBackoff     = time.Second
	DefaultStopTimeout = 30 * time.Second
)

// Bounds of what a consumer does at once.
const (
	maxInHand  = 1 << 16
	batch      = 256 // entries of one read
	blockTime  = time.Second
	minMinIdle = 50 * time.Millisecond
)

// Handler handles a job: nil removes it from the queue, an error leaves it for
// another try. A panic is an error. The context ends when the job is lost
// ([ErrLost]), or when the worker has been stopping for StopTimeout.
type Handler func(ctx context.Context, j *Job) error

// ConsumeOptions adjust [Queue.Consume]. All zero values mean the defaults.
type ConsumeOptions struct {
	// Name of this worker in its group; no two that run may share one. Default:
	// the host's name and something random.
	Name string
	// Concurrency is how many handlers run at once. Default 1.
	Concurrency int
	// Prefetch is how many jobs more are fetched, so that no handler waits for
	// Redis. Other workers do not get them. Default: as many as Concurrency;
	// negative: none.
	Prefetch int
	// MinIdle is how long a lease lasts that is not renewed: after a worker has
	// died, its jobs wait that long. It must be the same for all workers of a
	// group, and is more than any pause of Redis or the network that should not
	// make jobs run twice. Default 30 s.
	MinIdle time.Duration
	// MaxTries is how often a job is handed out before it becomes a dead
	// letter. Default 5.
	MaxTries int
	// Backoff is the pause before a second try; it doubles with each, up to
	// MinIdle. Default 1 s.
	Backoff time.Duration
	// StopTimeout is how long handlers may go on after ctx has ended, before
	// their own context ends too. Default 30 s.
	StopTimeout time.Duration
}

func (o ConsumeOptions) withDefaults() (ConsumeOptions, error) {
	if o.Name == "" {
		host, _ := os.Hostname() // empty is fine
		o.Name = cmp.Or(host, "worker") + "-" + rand.Text()[:10]
	}
	o.Concurrency = cmp.Or(o.Concurrency, DefaultConcurrency)
	o.Prefetch = max(cmp.Or(o.Prefetch, o.Concurrency), 0)
	o.MinIdle = cmp.Or(o.MinIdle, DefaultMinIdle)
	o.MaxTries = cmp.Or(o.MaxTries, DefaultMaxTries)
	o.Backoff = cmp.Or(o.Backoff, DefaultBackoff)
	o.StopTimeout = cmp.Or(o.StopTimeout, DefaultStopTimeout)
	switch {
	case o.Concurrency < 1 || o.Concurrency+o.Prefetch > maxInHand:
		return o, fmt.Errorf("socketeer: queue: %d handlers and %d jobs ahead are not 1 to %d", o.Concurrency, o.Prefetch, maxInHand)
	case o.MinIdle < minMinIdle:
		return o, fmt.Errorf("socketeer: queue: a lease of %v is less than %v", o.MinIdle, minMinIdle)
	case o.MaxTries < 1 || min(o.Backoff, o.StopTimeout) < 0:
		return o, errors.New("socketeer: queue: negative tries or durations")
	}
	return o, checkName("worker", o.Name)
}

// consumer is one call of Consume.
type consumer struct {
	// immutable
	q       *Queue
	o       ConsumeOptions
	queue   string
	group   string
	key     string
	handler Handler
	log     *slog.Logger

	cursor string // of the search for jobs to take over; owned by fetchLoop

	jobs chan *held    // fetched; room for all in hand
	free chan struct{} // a token for each job that may be fetched
	done chan struct{} // capacity 1: jobs were acknowledged, there is something to trim

	mu   sync.Mutex // guards the rest
	hand map[string]*held
	due  time.Time // when to look for jobs to take over
}

// held is a job in hand: its lease is renewed.
type held struct {
	job    *Job
	bad    error       // why no handler can take it
	cancel func(error) // of the handler's context; nil until it runs
}

// Consume handles jobs of the queue called name, as a worker of group, until
// ctx ends. The group is made when there is none yet; it begins with the oldest
// job. Errors of Redis do not end it: they are logged, counted and waited out.
//
// When ctx ends, no more jobs are taken, handlers go on until they return or
// StopTimeout has passed (then their contexts end, and they should return),
// what was fetched and not begun is given back, and Consume returns nil. An error says that it could not begin: a name or an
// option is not valid.
func (q *Queue) Consume(ctx context.Context, name, group string, h Handler, o ConsumeOptions) error {
	o, err := o.withDefaults()
	if err = errors.Join(err, checkName("queue", name), checkName("group", group)); err != nil {
		return err
	}
	if h == nil {
		return errors.New("socketeer: queue: no handler")
	}
	inHand := o.Concurrency + o.Prefetch
	c := &consumer{
		q: q, o: o, queue: name, group: group, key: q.key(name), handler: h,
		log:  q.log.With("queue", name, "group", group, "worker", o.Name),
		jobs: make(chan *held, inHand), free: make(chan struct{}, inHand), done: make(chan struct{}, 1),
		hand: make(map[string]*held), cursor: "0-0",
	}
	for range inHand {
		c.free <- struct{}{}
	}
	c.run(ctx)
	return nil
}

// run is the life of a consumer: fetch until ctx ends, give back what was not
// begun, and let the handlers finish while their leases are still renewed.
func (c *consumer) run(ctx context.Context) {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var handlers, helpers sync.WaitGroup
	for range c.o.Concurrency {
		handlers.Go(func() { c.work(ctx, working) })
	}
	helpers.Go(func() { c.renewLoop(working) })
	helpers.Go(func() { c.trimLoop(working) })

	c.fetchLoop(ctx)
	close(c.jobs)
	for h := range c.jobs {
		c.giveBack(working, h)
	}
	late := time.AfterFunc(c.o.StopTimeout, stop)
	handlers.Wait()
	late.Stop()
	stop()
	helpers.Wait()
	c.leave()
}

// work runs the handler for one job after the other, until ctx has ended.
func (c *consumer) work(ctx, working context.Context) {
	for h := range c.jobs {
		if ctx.Err() != nil {
			c.giveBack(working, h)
			continue
		}
		c.handle(working, h)
		c.free <- struct{}{}
	}
}

// hold takes a job into the hand and to the handlers. One that is in hand
// already, because its lease ended and was taken over by this worker itself,
// goes on as it is.
func (c *consumer) hold(h *held) {
	c.mu.Lock()
	twice := c.hand[h.job.ID] != nil
	if !twice {
		c.hand[h.job.ID] = h
	}
	c.mu.Unlock()
	if twice {
		c.free <- struct{}{}
		return
	}
	c.jobs <- h // has room: the job has a token
}

// drop takes a job out of the hand. It reports false if it was not there any
// more.
func (c *consumer) drop(h *held) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hand[h.job.ID] != h {
		return false
	}
	delete(c.hand, h.job.ID)
	return true
}

// inHand returns the jobs in hand.
func (c *consumer) inHand() []*held {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]*held, 0, len(c.hand))
	for _, h := range c.hand {
		list = append(list, h)
	}
	return list
}
