package chat

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
)

//go:embed page
var files embed.FS

// NodeAddr is where pages reach a node.
type NodeAddr struct {
	Name string `json:"name"`
	URL  string `json:"url"` // such as http://127.0.0.1:3001
}

// Page returns the handler of the page and its files, for the server's
// Socket.IO path. nodes tells which nodes the page of a request can connect
// to, none when it is better off with the address it came by.
func Page(node, path string, nodes func(*http.Request) []NodeAddr) (http.Handler, error) {
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
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", policy(r.Host))
		_, _ = w.Write(index.Bytes()) // the browser is gone when it fails
	})
	mux.HandleFunc("GET /nodes.json", func(w http.ResponseWriter, r *http.Request) {
		list := nodes(r)
		if list == nil {
			list = []NodeAddr{}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(struct { // the browser is gone when it fails
			Node  string     `json:"node"`
			Nodes []NodeAddr `json:"nodes"`
		}{node, list})
	})
	mux.Handle("GET /", http.FileServerFS(page))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		mux.ServeHTTP(w, r)
	}), nil
}

// policy lets the page load its own files only, and connect to any port of the
// host it came from, where the other nodes may be.
func policy(host string) string {
	connect := "'self'"
	if u, err := url.Parse("http://" + host); err == nil && u.Hostname() != "" && !strings.ContainsAny(host, ";, ") {
		name := u.Hostname()
		if strings.Contains(name, ":") {
			name = "[" + name + "]"
		}
		connect += " http://" + name + ":* ws://" + name + ":* https://" + name + ":* wss://" + name + ":*"
	}
	return "default-src 'self'; connect-src " + connect + "; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}
