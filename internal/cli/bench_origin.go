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

// origin says what makes a report that cmd begins now.
func origin(cmd *cobra.Command) *loadgen.Origin {
	return &loadgen.Origin{Command: commandLine(cmd), Started: time.Now().UTC().Truncate(time.Second), Machine: loadgen.ThisMachine()}
}

// writeRun writes a page about a run to a file, if there is one.
func writeRun(path string, r *loadgen.Report) error {
	if path == "" {
		return nil
	}
	return writePage(path, func(w io.Writer) error { return benchpage.WriteHTML(w, []benchpage.Run{{Report: r}}) })
}

// writeSheet writes a page about several runs to a file, if there is one.
func writeSheet(path string, s benchpage.Sheet) error {
	if path == "" {
		return nil
	}
	return writePage(path, func(w io.Writer) error { return benchpage.WriteSheet(w, s) })
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
