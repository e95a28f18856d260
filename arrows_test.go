package socketeer_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/socketeer-io/socketeer"

// mayImport says which packages of this module, besides those below
// themselves, a package may import. Others are not listed because everything
// below cmd may be used there. See docs/DESIGN.md, chapter 1.
var mayImport = map[string][]string{
	"protocol/eio":               {},
	"protocol/sio":               {},
	"internal/netpoll":           {},
	"internal/wsconn":            {"internal/netpoll"},
	"internal/hub":               {},
	"engineio":                   {"protocol/eio", "protocol/sio", "internal/wsconn", "internal/netpoll"},
	"adapter":                    {},
	"adapter/internal/lane":      {},
	"adapter/internal/interest":  {"adapter"},
	"internal/nodewire":          {"adapter"},
	"internal/rawconn":           {},
	"internal/redislink":         {"internal/rawconn", "internal/respite"},
	"internal/respite":           {},
	"adapter/internal/nodepeers": {"adapter", "cluster", "internal/nodewire"},
	"internal/msgread":           {},
	"cluster":                    {"internal/msgread"},
	"adapter/adaptertest":        {"adapter"},
	"adapter/internal/peerlog":   {"adapter", "internal/msgread"},
	"adapter/internal/askonce":   {},
	"adapter/internal/departed":  {"cluster"},
	"adapter/internal/unkept":    {},
	"adapter/internal/replay":    {"adapter"},
	"adapter/internal/jslog":     {"adapter", "adapter/internal/askonce", "adapter/internal/unkept", "adapter/internal/replay", "internal/msgread"},
	"adapter/internal/mixedtest": {".", "adapter", "internal/nodewire", "internal/redislink", "internal/redistest"},
	"adapter/internal/peertest":  {"adapter", "cluster", "adapter/cluster", "internal/nettest"},
	"adapter/cluster":            {"adapter", "cluster", "adapter/internal/lane", "adapter/internal/interest", "adapter/internal/peerlog", "adapter/internal/departed", "internal/msgread"},
	"adapter/nats":               {"adapter", "cluster", "adapter/cluster", "adapter/internal/jslog"},
	"adapter/mesh":               {"adapter", "cluster", "adapter/cluster", "internal/rawconn"},
	"adapter/redis":              {"adapter", "cluster", "adapter/internal", "internal/nodewire", "internal/redislink"},
	".":                          {"engineio", "adapter", "protocol/eio", "protocol/sio", "internal/hub"},
	"client":                     {"protocol/eio", "protocol/sio", "internal/wsconn"},
	"internal/process":           {},
	"internal/nettest":           {},
	"internal/redistest":         {"internal/nettest", "internal/process"},
	"internal/loadgen":           {"protocol/eio", "protocol/sio", "internal/process"},
	"adapter/redisstream":        {"adapter", "cluster", "adapter/internal", "internal/nodewire", "internal/redislink", "internal/respite"},
	"queue":                      {"protocol/sio", "internal/redislink"},
	"queue/forward":              {".", "queue", "protocol/sio"},
	"emitter":                    {"adapter", "protocol/sio", "internal/nodewire", "internal/redislink"},
	"internal/app/clientbundle":  {},
	"cmd/socketeer":              {"internal/cli"},
}

// onlyIn says which packages alone may import a library.
var onlyIn = map[string][]string{
	"github.com/gobwas/ws":           {"internal/wsconn"},
	"github.com/nats-io/nats-server": {"adapter/nats"},
	"github.com/nats-io/nats.go":     {"adapter/nats", "adapter/internal/jslog"},
	"github.com/spf13/cobra":         {"internal/cli"},
	"github.com/redis/rueidis":       {"internal/redislink", "adapter", "queue", "emitter"},
}

// TestArrows holds the packages to their places.
func TestArrows(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := local(p.ImportPath)
		seen[name] = true
		for _, imported := range p.Imports {
			checkImport(t, name, imported)
		}
	}
	for name := range mayImport {
		if !seen[name] {
			t.Errorf("there is no package %s any more: change this test", name)
		}
	}
}

// local returns a package's path inside the module.
func local(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

func checkImport(t *testing.T, name, imported string) {
	t.Helper()
	for library, owners := range onlyIn {
		if strings.HasPrefix(imported, library) && !slices.ContainsFunc(owners, func(owner string) bool { return within(name, owner) }) {
			t.Errorf("%s imports %s, which only %s may", name, imported, strings.Join(owners, " and "))
		}
	}
	allowed, listed := mayImport[name]
	if !listed || imported != module && !strings.HasPrefix(imported, module+"/") {
		return
	}
	target := local(imported)
	if name != "." && within(target, name) {
		return
	}
	for _, a := range allowed {
		if within(target, a) {
			return
		}
	}
	t.Errorf("%s imports %s: that arrow does not point down", name, target)
}

func within(name, folder string) bool {
	return name == folder || folder != "." && strings.HasPrefix(name, folder+"/")
}
