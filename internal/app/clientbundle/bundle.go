// Package clientbundle holds the official Socket.IO client for browsers, as
// the JavaScript server serves it beside the protocol.
//
// The files come from the npm registry through a lock file and are not kept
// in the repository: "make build" puts them into dist before it compiles. A
// binary compiled without them works, and says so to browsers that ask.
package clientbundle

import (
	"embed"
	"io/fs"
)

// dist holds only a placeholder when the bundle was not there.
//
//go:embed all:dist
var dist embed.FS

// FS returns the client's files: socket.io.js, socket.io.min.js,
// socket.io.esm.min.js, socket.io.msgpack.min.js and their source maps. ok
// tells whether they were there when the binary was built.
func FS() (files fs.FS, ok bool) {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		return dist, false // cannot be: the directory is embedded
	}
	_, err = fs.Stat(files, "socket.io.js")
	return files, err == nil
}

// Names returns the files a complete bundle consists of.
func Names() []string {
	return []string{
		"socket.io.js", "socket.io.js.map",
		"socket.io.min.js", "socket.io.min.js.map",
		"socket.io.esm.min.js", "socket.io.esm.min.js.map",
		"socket.io.msgpack.min.js", "socket.io.msgpack.min.js.map",
	}
}
