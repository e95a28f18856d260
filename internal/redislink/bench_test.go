//go:build unix

package redislink_test

import (
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/redislink"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// spent returns the processor time of this process.
func spent() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkPublish: as fast as Redis takes them.
func BenchmarkPublish(b *testing.B) {
	s := redistest.Standalone(b)
	l, _ := open(b, redislink.Options{
		URLs: []string{s.URL()}, BacklogBytes: 1 << 30, Logger: slog.New(slog.DiscardHandler),
		ProbeInterval: time.Hour, PublishTimeout: 30 * time.Second,
	})
	data := make([]byte, 200)
	before := spent()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := l.Publish("channel", data); err != nil {
			b.Fatal(err)
		}
	}
	eventually(b, "all answers", func() bool { return l.Stats().Published >= uint64(b.N) })
	b.ReportMetric(float64((spent()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// BenchmarkPublishPaced: a thousand a second, which are sent one by one.
func BenchmarkPublishPaced(b *testing.B) {
	s := redistest.Standalone(b)
	l, _ := open(b, redislink.Options{URLs: []string{s.URL()}, Logger: slog.New(slog.DiscardHandler), ProbeInterval: time.Hour})
	data := make([]byte, 200)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	before := spent()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		<-tick.C
		if err := l.Publish("channel", data); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((spent()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// BenchmarkRoundTrip: published, received and handed over, as fast as it goes.
func BenchmarkRoundTrip(b *testing.B) {
	s := redistest.Standalone(b)
	var n atomic.Int64
	l, _ := open(b, redislink.Options{
		URLs: []string{s.URL()}, BacklogBytes: 1 << 30, QueueBytes: 1 << 30, Logger: slog.New(slog.DiscardHandler),
		ProbeInterval: time.Hour, PublishTimeout: 30 * time.Second,
		Receive: func(redislink.Message) { n.Add(1) },
	})
	if err := l.Subscribe(deadline(b), "channel"); err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 200)
	before := spent()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := l.Publish("channel", data); err != nil {
			b.Fatal(err)
		}
	}
	eventually(b, "all messages", func() bool { return n.Load() >= int64(b.N) })
	b.ReportMetric(float64((spent()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}
