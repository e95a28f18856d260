package app

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/socketeer-io/socketeer/cluster"
	"github.com/socketeer-io/socketeer/internal/app/chat"
)

// maxNeighbours bounds how many ports are remembered.
const maxNeighbours = 1024

// neighbours are the nodes on the same host on other ports, as "up" makes
// them. Their pages may connect here, and this node's pages there: that is how
// a page finds another node when its own has died.
//
// All that is known of a neighbour's address is taken from membership, and
// counts only for a client that came straight to this node. Behind a gateway
// the port asked for is the gateway's; then no node tells of others, and
// clients come back to the gateway.
type neighbours struct {
	members    func() []cluster.Member
	host, port string
	origins    []string // configured, besides

	mu sync.Mutex
	// ports of all neighbours ever seen: a page outlives the node that it was
	// loaded from.
	ports map[string]bool
}

func newNeighbours(members membership, advertise string, origins []string) *neighbours {
	n := &neighbours{members: members.Members, origins: origins, ports: map[string]bool{}}
	n.host, n.port = splitHost(advertise, "")
	members.Watch(func(e cluster.Event) { n.remember(e.Member) })
	for _, m := range members.Members() {
		n.remember(m)
	}
	return n
}

func (n *neighbours) remember(m cluster.Member) {
	host, port := splitHost(m.Addr, "")
	n.mu.Lock()
	defer n.mu.Unlock()
	if host == n.host && port != "" && len(n.ports) < maxNeighbours {
		n.ports[port] = true
	}
}

// of returns the nodes that take clients, by the host name that the client
// used; none when it did not come straight here.
func (n *neighbours) of(r *http.Request) []chat.NodeAddr {
	host, port := splitHost(r.Host, "80")
	if port != n.port {
		return nil
	}
	var list []chat.NodeAddr
	for _, m := range n.members() {
		if h, p := splitHost(m.Addr, ""); h == n.host && m.State == cluster.Ready {
			list = append(list, chat.NodeAddr{Name: m.Name, URL: "http://" + net.JoinHostPort(host, p)})
		}
	}
	return list
}

// allow reports whether pages of origin may connect by request r.
func (n *neighbours) allow(r *http.Request, origin string) bool {
	if slices.Contains(n.origins, "*") || slices.Contains(n.origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" {
		return false
	}
	host, port := splitHost(r.Host, "80")
	if port != n.port || !strings.EqualFold(host, u.Hostname()) {
		return false
	}
	_, from := splitHost(u.Host, "80")
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ports[from]
}

// splitHost splits host:port, where the port may be missing.
func splitHost(addr, defaultPort string) (host, port string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return strings.Trim(addr, "[]"), defaultPort
	}
	return host, port
}
