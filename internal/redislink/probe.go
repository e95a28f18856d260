package redislink

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/rueidis"
)

var errDeaf = errors.New("socketeer: redis: what is published does not arrive")

// probeLoop notices connections that look healthy and deliver nothing. Whatever
// arrives is a sign of life; when nothing did for an interval, the link
// publishes to itself by the way that all messages take. After two more silent
// intervals it is deaf, and everything is made anew, every two intervals until
// something is heard.
func (l *Link) probeLoop() {
	timer := time.NewTimer(l.probeDelay())
	defer timer.Stop()
	silent := 0
	for {
		select {
		case <-l.draining:
			return
		case <-timer.C:
		}
		timer.Reset(l.probeDelay())
		l.checkRole()
		if l.options.PublishOnly {
			continue
		}
		if l.heard.Swap(false) {
			silent = 0
			if l.deaf.Swap(false) {
				l.log.Info("redis is heard again")
			}
			continue
		}
		if !l.connected() { // and at work on it
			silent = 0
			continue
		}
		if silent > 0 {
			l.count.probesMissed.Add(1)
		}
		if silent >= 2 && silent%2 == 0 {
			if !l.deaf.Swap(true) {
				l.log.Error("redis is connected, but nothing arrives: starting over", "silent_intervals", silent)
			}
			l.startOver()
		}
		silent++
		l.count.probes.Add(1)
		if err := l.Publish(l.probe, nil); err != nil {
			l.log.Debug("probe not sent", "err", err)
		}
	}
}

func (l *Link) probeDelay() time.Duration {
	d := l.options.ProbeInterval
	return d - d/10 + rand.N(d/5)
}

// startOver makes all connections anew, and asks where the masters are.
func (l *Link) startOver() {
	for _, n := range l.view.Load().lanes {
		n.restart()
	}
	if l.home != nil {
		l.home.restart()
	}
	l.mu.Lock()
	for _, s := range l.shards {
		s.restart()
	}
	l.mu.Unlock()
	l.kick()
}

// checkRole asks the server that messages are sent to whether it is still a
// master: one that was demoted takes them, and its own subscribers get them,
// but nobody else.
func (l *Link) checkRole() {
	if l.mode == Cluster {
		return // see steer
	}
	b := l.client.B()
	err := l.Send(b.Arbitrary("HELLO").Build(), func(m rueidis.RedisMessage, err error) {
		if err != nil {
			return // too old, or away
		}
		if a := readHello(m); a.role == "replica" {
			l.log.Error("redis: the master became a replica: starting over")
			l.startOver()
		}
	})
	if err != nil {
		l.log.Debug("role not asked for", "err", err)
	}
}
