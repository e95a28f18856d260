package cluster

import (
	"math/rand/v2"
	"time"
)

// probeLoop notices a bus that looks healthy and delivers nothing: a connection
// that is half open, or attached to a server that is not the cluster's any
// more. Whatever arrives is a sign of life; when nothing did for an interval,
// the node sends itself a frame by the path that others' frames take. After
// two more silent intervals the node is deaf: not ready, and the bus is asked to
// start over, every two intervals until something is heard.
func (n *Node) probeLoop() {
	timer := time.NewTimer(n.probeDelay())
	defer timer.Stop()
	silent := 0
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(n.probeDelay())
		if n.heard.Swap(false) {
			silent = 0
			if n.deaf.Swap(false) {
				n.log.Info("the cluster bus is heard again")
			}
			continue
		}
		if silent > 0 {
			n.count.probeFailures.Add(1)
		}
		if silent >= 2 && silent%2 == 0 {
			n.reconnect(silent)
		}
		silent++
		n.count.probes.Add(1)
		frame := appendHeader(make([]byte, 0, headerLen), frameProbe, n.id.Incarnation)
		if err := n.bus.Probe(frame); err != nil {
			n.log.Debug("probe not sent", "err", err)
		}
	}
}

func (n *Node) probeDelay() time.Duration {
	d := n.cfg.ProbeInterval
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}

func (n *Node) reconnect(silent int) {
	if !n.deaf.Swap(true) {
		n.log.Error("the cluster bus is deaf: starting over", "silent_intervals", silent)
	}
	if r, ok := n.bus.(Reconnecter); ok {
		n.count.reconnects.Add(1)
		r.Reconnect()
	}
}
