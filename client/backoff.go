package client

import (
	"math/rand/v2"
	"time"
)

// backoff returns how long to wait after the n-th failure in a row (n >= 1):
// delay doubled with each, at most most, spread evenly over ±jitter of itself.
// Unlike the JavaScript client's, what is spread beyond most is not cut down
// to it, for then half of all clients would return at the same moment.
func backoff(n int, delay, most time.Duration, jitter float64) time.Duration {
	for range n - 1 {
		if delay >= most/2 {
			delay = most
			break
		}
		delay *= 2
	}
	delay = min(delay, most)
	low := float64(delay) * (1 - jitter)
	high := min(float64(delay)*(1+jitter), float64(most))
	return time.Duration(low + rand.Float64()*(high-low))
}
