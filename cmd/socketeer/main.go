// Command socketeer runs Socket.IO servers: one node, a cluster on this
// machine, or load on either. See socketeer --help.
package main

import (
	"os"

	"github.com/socketeer-io/socketeer/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
