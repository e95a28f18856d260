package socketeer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// clientFiles serves the JavaScript client, as the JavaScript server does.
type clientFiles struct {
	files fs.FS
	mu    sync.Mutex
	known map[string]clientFile
}

type clientFile struct {
	content []byte
	etag    string
}

// clientNames are the files that are served, if they are there.
var clientNames = []string{"socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"}

// wants reports whether the request is for one of the files.
func (c *clientFiles) wants(r *http.Request) bool {
	name := strings.TrimSuffix(path.Base(r.URL.Path), ".map")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for _, n := range clientNames {
		if n == name {
			return true
		}
	}
	return false
}

// ServeHTTP serves one of the files.
func (c *clientFiles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	f, err := c.load(name)
	if err != nil {
		http.Error(w, "socketeer: "+name+" is not part of this server", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=0")
	h.Set("ETag", f.etag)
	h.Set("X-Content-Type-Options", "nosniff")
	if strings.HasSuffix(name, ".map") {
		h.Set("Content-Type", "application/json")
	} else {
		h.Set("Content-Type", "application/javascript; charset=utf-8")
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.content))
}

// load reads a file once.
func (c *clientFiles) load(name string) (clientFile, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.known[name]; ok {
		return f, nil
	}
	content, err := fs.ReadFile(c.files, name)
	if err != nil {
		return clientFile{}, err
	}
	sum := sha256.Sum256(content)
	f := clientFile{content: content, etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
	if c.known == nil {
		c.known = make(map[string]clientFile)
	}
	c.known[name] = f
	return f, nil
}
