package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/socketeer-io/socketeer/internal/benchpage"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// openPage returns what writes a page about a run of cmd, which begins now,
// to the file path, if there is one. That it cannot be written is found out
// before the run.
func openPage(cmd *cobra.Command, path string) (write func(*loadgen.Report) error, err error) {
	if path == "" {
		return func(*loadgen.Report) error { return nil }, nil
	}
	if err := writable(path); err != nil {
		return nil, err
	}
	started := time.Now()
	return func(r *loadgen.Report) error {
		f, err := os.Create(path)
		if err != nil {
			return fmt.Errorf("socketeer: %w", err)
		}
		err = benchpage.WriteHTML(f, []benchpage.Run{{
			Command: commandLine(cmd),
			Started: started,
			Machine: benchpage.ThisMachine(),
			Report:  r,
		}})
		return errors.Join(err, f.Close())
	}, nil
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
