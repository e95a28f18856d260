// Package nettest is what tests of faults need of the network: ports that stay
// free while a server is down, and a proxy that loses what passes.
package nettest
