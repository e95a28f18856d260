package app

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/rs/cors"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/cluster"
	"github.com/socketeer-io/socketeer/internal/app/bench"
	"github.com/socketeer-io/socketeer/internal/app/chat"
	"github.com/socketeer-io/socketeer/internal/app/clientbundle"
	"github.com/socketeer-io/socketeer/internal/app/config"
)

// build makes the server and the application.
func (n *Node) build() error {
	e := n.cfg.Engine
	known := newNeighbours(n.members, n.advertise, e.CORSOrigins)
	origins := cors.Options{
		AllowOriginVaryRequestFunc: func(r *http.Request, origin string) (bool, []string) { return known.allow(r, origin), nil },
		AllowedMethods:             []string{http.MethodGet, http.MethodPost},
		// Cookies go along only where origins are named one by one.
		AllowCredentials: !slices.Contains(e.CORSOrigins, "*"),
	}
	opts := []socketeer.Option{
		socketeer.WithLogger(n.log), socketeer.WithAdapter(n.members), socketeer.WithCORS(origins),
		socketeer.WithPath(e.Path), socketeer.WithTransports(e.Transports...),
		socketeer.WithPingInterval(e.PingInterval), socketeer.WithPingTimeout(e.PingTimeout),
		socketeer.WithMaxPayload(e.MaxPayload), socketeer.WithSendBuffer(int(e.SendBuffer)),
	}
	opts = append(opts, socketeer.WithShutdownRate(n.cfg.DrainRate))
	if e.Recovery > 0 {
		opts = append(opts, socketeer.WithRecovery(socketeer.Recovery{MaxDisconnection: e.Recovery}))
	}
	files, bundled := clientbundle.FS()
	if bundled {
		opts = append(opts, socketeer.WithClient(files))
	}
	io, err := socketeer.NewServer(opts...)
	if err != nil {
		return err
	}
	n.io = io
	n.members.SetCounts(func() cluster.Counts { return counts(io) })

	mux := http.NewServeMux()
	mux.Handle(e.Path, io)
	if !bundled {
		n.log.Warn("built without the browser client: \"make build\" includes it")
		for _, name := range clientbundle.Names() {
			mux.HandleFunc("GET "+e.Path+name, noClient)
		}
	}
	n.public.Handler = mux
	if n.cfg.App == config.AppBench {
		bench.Mount(io)
		return nil
	}
	n.chat = chat.Mount(io, chat.Options{Node: n.cfg.Name, Logger: n.log, Live: n.live})
	page, err := chat.Page(n.cfg.Name, e.Path, known.of)
	if err != nil {
		return fmt.Errorf("socketeer: chat page: %w", err)
	}
	mux.Handle("/", cors.New(origins).Handler(page))
	return nil
}

func noClient(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "socketeer: this binary was built without the Socket.IO client; \"make build\" includes it", http.StatusNotFound)
}

// live returns the names of the live nodes.
func (n *Node) live() []string {
	var names []string
	for _, m := range n.members.Members() {
		names = append(names, m.Name)
	}
	return names
}

func counts(io *socketeer.Server) cluster.Counts {
	sockets := 0
	for nsp := range io.Namespaces() {
		sockets += nsp.Len()
	}
	return cluster.Counts{Connections: io.Engine().Count(), Sockets: sockets}
}
