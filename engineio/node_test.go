package engineio_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/engineio"
)

// script is a client on the WebSocket library that the official client uses in
// Node.js: it sends and expects a large text, compressed both ways.
const script = `
const { WebSocket } = require("ws");
const ws = new WebSocket(process.argv[1], { perMessageDeflate: { threshold: 100 } });
const text = "4" + "compress me ".repeat(1000);
let n = 0;
ws.on("message", (m) => {
  if (n++ === 0) return ws.send(text);
  console.log(ws.extensions, m.toString() === text, ws._socket.bytesRead < 2000);
  ws.close();
});
ws.on("close", (code) => console.log(code));
`

func TestPerMessageDeflateWithNode(t *testing.T) {
	modules, err := filepath.Abs("../test/e2e/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	node, err := exec.LookPath("node")
	if _, e := os.Stat(filepath.Join(modules, "ws")); err != nil || e != nil {
		t.Skip("Node.js, or its modules of test/e2e, are not there")
	}
	s, err := engineio.NewServer(engineio.Options{PerMessageDeflate: &engineio.PerMessageDeflate{}}, func(c *engineio.Conn) engineio.Session {
		return &session{conn: c, ended: make(chan ending, 1), handle: func(s *session, data []byte, _ bool) error { return s.send(string(data)) }}
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: s}
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close(t.Context())
		_ = h.Close()
		<-done
	})
	cmd := exec.CommandContext(t.Context(), node, "-e", script, "ws://"+l.Addr().String()+"/engine.io/?EIO=4&transport=websocket")
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	out, err := cmd.CombinedOutput()
	if want := "permessage-deflate true true\n1005\n"; err != nil || strings.TrimLeft(string(out), " ") != want {
		t.Errorf("client said %q, %v; want %q", out, err, want)
	}
}
