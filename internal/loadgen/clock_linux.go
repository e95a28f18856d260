package loadgen

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock reads the system's monotonic clock at the price of time.Since, which
// makes no system call. All processes of the machine share it, so a message
// may be stamped by one generator and read by another.
type clock struct {
	base time.Time
	mono int64
}

func newClock() (clock, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return clock{}, err
	}
	return clock{base: time.Now(), mono: ts.Nano()}, nil
}

func (c clock) now() int64 { return c.mono + int64(time.Since(c.base)) }

// until returns how long it is to a time of this clock.
func (c clock) until(t int64) time.Duration { return time.Duration(t - c.now()) }
