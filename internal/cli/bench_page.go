package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/socketeer-io/socketeer/internal/benchpage"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// pageFile is a page to be written about what a command does; nil: there is
// none.
type pageFile struct {
	path    string
	command string // that repeats it
	started time.Time
}

// openPage returns the page of cmd, which begins now, in the file path, if
// there is one. That it cannot be written is found out before the run.
func openPage(cmd *cobra.Command, path string) (*pageFile, error) {
	if path == "" {
		return nil, nil
	}
	if err := writable(path); err != nil {
		return nil, err
	}
	return &pageFile{path: path, command: commandLine(cmd), started: time.Now()}, nil
}

// run writes a page about a run, if there is one to write.
func (p *pageFile) run(r *loadgen.Report) error {
	if p == nil {
		return nil
	}
	return writePage(p.path, func(w io.Writer) error {
		return benchpage.WriteHTML(w, []benchpage.Run{{Command: p.command, Started: p.started, Machine: benchpage.ThisMachine(), Report: r}})
	})
}

// sheet writes a page about several runs, if there is one to write.
func (p *pageFile) sheet(s benchpage.Sheet) error {
	if p == nil {
		return nil
	}
	s.Command, s.Started, s.Machine = p.command, p.started, benchpage.ThisMachine()
	return writePage(p.path, func(w io.Writer) error { return benchpage.WriteSheet(w, s) })
}

// writePage writes to a file.
func writePage(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("socketeer: %w", err)
	}
	return errors.Join(write(f), f.Close())
}

// commandLine is what repeats cmd, with the flags in the order they were given.
func commandLine(cmd *cobra.Command) string {
	line := []string{cmd.CommandPath()}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		value := f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			value = strings.Join(list.GetSlice(), ",")
		}
		if f.Value.Type() == "bool" {
			line = append(line, "--"+f.Name+"="+value)
			return
		}
		line = append(line, "--"+f.Name, quoted(value))
	})
	return strings.Join(line, " ")
}

// quoted quotes a word for the shell, if it has to be.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r < 0x80 && strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,%=+@", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
