package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/socketeer-io/socketeer/internal/benchpage"
	"github.com/socketeer-io/socketeer/internal/loadgen"
	"github.com/socketeer-io/socketeer/internal/trial"
)

// maxReport is the size of the largest report that is read, in bytes.
const maxReport = 16 << 20

const pageLong = `Write a page about what "bench --json" and its subcommands have printed: about
one report, or one that compares up to 8 runs, of "bench" and "bench deploy",
with a curve for each. Runs are named by their files.`

// newBenchPageCommand returns the command that makes a page of reports.
func newBenchPageCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "page REPORT.json... --html FILE",
		Short: "Make a page of a report, or one that compares runs",
		Long:  pageLong,
		Example: `  socketeer bench --addr 127.0.0.1:3000 --mode rooms --json > before.json
  socketeer bench page before.json after.json --html compared.html
  socketeer bench page growth.json --html growth.html`,
		Args: func(_ *cobra.Command, files []string) error {
			if len(files) < 1 || len(files) > benchpage.MaxRuns {
				return wrong("%d reports: takes 1 to %d", len(files), benchpage.MaxRuns)
			}
			return nil
		},
		RunE: func(_ *cobra.Command, files []string) error {
			contents, err := readFiles(files)
			if err != nil {
				return err
			}
			if len(files) == 1 {
				s, err := trial.ReadSheet(contents[0])
				if err == nil {
					return writeSheet(path, s)
				}
				if !errors.Is(err, trial.ErrNoSheet) {
					return fmt.Errorf("%w, in %s", err, files[0])
				}
			}
			runs, err := parseRuns(contents, files)
			if err != nil {
				return err
			}
			return writePage(path, func(w io.Writer) error { return benchpage.WriteHTML(w, runs) })
		},
	}
	cmd.Flags().StringVar(&path, "html", "", "the file to write")
	if err := cmd.MarkFlagRequired("html"); err != nil {
		panic(err) // no such flag: a mistake in this function
	}
	return cmd
}

// parseRuns returns the reports of runs, in the JSON of files.
func parseRuns(contents [][]byte, files []string) ([]benchpage.Run, error) {
	runs := make([]benchpage.Run, len(files))
	for i, file := range files {
		r, err := parseRun(contents[i], file)
		if err != nil {
			return nil, err
		}
		runs[i] = benchpage.Run{Name: strings.TrimSuffix(filepath.Base(file), ".json"), Report: r}
	}
	for i := range runs { // files of the same name are told apart by their folders
		if slices.ContainsFunc(runs[:i], func(r benchpage.Run) bool { return r.Name == runs[i].Name }) {
			runs[i].Name = files[i]
		}
	}
	return runs, nil
}

// readFiles reads files with reports, each once: it may be a pipe.
func readFiles(files []string) ([][]byte, error) {
	contents := make([][]byte, len(files))
	for i, file := range files {
		var err error
		if contents[i], err = readFile(file); err != nil {
			return nil, err
		}
	}
	return contents, nil
}

// readFile reads a file with a report.
func readFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("socketeer: no report: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxReport+1))
	if err == nil && len(b) > maxReport {
		err = fmt.Errorf("more than %d MiB", maxReport>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("socketeer: no report in %s: %w", file, err)
	}
	return b, nil
}

// parseRun returns the report of a run, in the JSON of a file.
func parseRun(b []byte, file string) (*loadgen.Report, error) {
	var r loadgen.Report
	err := json.Unmarshal(b, &r)
	if err == nil && !slices.Contains(loadgen.Modes(), r.Mode) {
		err = errors.New("bench --json and bench deploy --json make one")
	}
	if err != nil {
		return nil, fmt.Errorf("socketeer: no report of a run in %s: %w", file, err)
	}
	return &r, nil
}
