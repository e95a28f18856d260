package chat

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"io/fs"
	"net/http"
)

//go:embed page
var files embed.FS

// NodeAddr is where pages reach a node.
type NodeAddr struct {
	Name string `json:"name"`
	URL  string `json:"url"` // such as http://127.0.0.1:3001
}

// Page returns the handler of the page and its files, for the server's
// Socket.IO path. nodes tells where the cluster's nodes are; it may be nil.
func Page(node, path string, nodes func() []NodeAddr) (http.Handler, error) {
	page, err := fs.Sub(files, "page")
	if err != nil {
		return nil, err
	}
	t, err := template.ParseFS(page, "index.html")
	if err != nil {
		return nil, err
	}
	var index bytes.Buffer
	if err := t.Execute(&index, map[string]string{"Path": path}); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'self'; connect-src *; base-uri 'none'; frame-ancestors 'none'")
		_, _ = w.Write(index.Bytes()) // the browser is gone when it fails
	})
	mux.HandleFunc("GET /nodes.json", func(w http.ResponseWriter, r *http.Request) { serveNodes(w, r, node, nodes) })
	mux.Handle("GET /", http.FileServerFS(page))
	return mux, nil
}

// serveNodes tells a page of the other nodes, if it came to this one by the
// address that the others would name. Behind a gateway it did not, and should
// come back to the gateway. The page may have been loaded from another node.
func serveNodes(w http.ResponseWriter, r *http.Request, node string, nodes func() []NodeAddr) {
	answer := struct {
		Node  string     `json:"node"`
		Nodes []NodeAddr `json:"nodes"`
	}{Node: node, Nodes: []NodeAddr{}}
	if nodes != nil {
		list := nodes()
		origin := r.Header.Get("Origin")
		known := false
		for _, n := range list {
			known = known || n.URL == "http://"+r.Host
			if origin != "" && n.URL == origin {
				w.Header().Set("Access-Control-Allow-Origin", origin)
				w.Header().Set("Vary", "Origin")
			}
		}
		if known {
			answer.Nodes = list
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(answer) // the browser is gone when it fails
}
