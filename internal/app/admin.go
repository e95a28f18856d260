package app

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/socketeer-io/socketeer/cluster"
)

// nodeInfo is a node as /v1/nodes tells of it.
type nodeInfo struct {
	Name        string    `json:"name"`
	Incarnation string    `json:"incarnation"`
	Tag         string    `json:"tag"`
	Address     string    `json:"address"`
	State       string    `json:"state"`
	Connections int       `json:"connections"`
	Sockets     int       `json:"sockets"`
	Started     time.Time `json:"started"`
	LastSeen    time.Time `json:"last_seen"`
	Self        bool      `json:"self"`
}

// admin serves operators: never on the public listener.
func (n *Node) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok", "node": n.cfg.Name})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if reason := n.notReady(); reason != "" {
			answer(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "reason": reason, "node": n.cfg.Name})
			return
		}
		answer(w, http.StatusOK, map[string]string{"status": "ready", "node": n.cfg.Name})
	})
	mux.HandleFunc("GET /v1/nodes", func(w http.ResponseWriter, _ *http.Request) {
		list := []nodeInfo{}
		for _, m := range n.current() {
			list = append(list, nodeInfo{
				Name: m.Name, Incarnation: m.Incarnation, Tag: m.Tag(), Address: m.Addr, State: m.State.String(),
				Connections: m.Counts.Connections, Sockets: m.Counts.Sockets, Started: m.Started, LastSeen: m.Seen, Self: m.Self,
			})
		}
		answer(w, http.StatusOK, map[string]any{"nodes": list})
	})
	if n.cfg.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(body) // the operator is gone when it fails
}

// notReady says why no load balancer should send clients here; empty if it
// may.
func (n *Node) notReady() string {
	switch phase(n.phase.Load()) {
	case starting:
		return "starting"
	case draining:
		return "draining"
	}
	if err := n.members.Ready(); err != nil {
		return err.Error()
	}
	return ""
}

// current are the live nodes; none as long as this one has not joined them.
func (n *Node) current() []cluster.Member {
	if phase(n.phase.Load()) == starting {
		return nil
	}
	return n.members.Members()
}
