// Command compare measures Socketeer and its peers side by side. See --help.
package main

import (
	"os"

	"github.com/socketeer-io/socketeer/test/bench/internal/command"
)

func main() { os.Exit(command.Main(os.Args[1:])) }
