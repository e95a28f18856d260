package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/socketeer-io/socketeer/internal/trial"
)

const tableLong = `Run the rows of the table by which the field compares, and print it.

row 1    10,000 connections on  1 server,     50,000 messages/s, p99 15 ms
row 2    50,000 connections on  3 servers,   150,000 messages/s, p99 25 ms
row 3   100,000 connections on  5 servers,   300,000 messages/s, p99 40 ms
row 4   500,000 connections on 20 servers, 1,000,000 messages/s, p99 80 ms

Messages are deliveries to the members of rooms of 100. The servers are started
here, each a process, and so is the load generator: both share the machine's
processors. A row that does not fit is run scaled: a fraction of its
connections and its rate, on as many servers. The row says so, what kept it
from the whole, what the run took beside what a capacity model says for it, and
what the whole would need by that model: one from --model (see "bench model"),
or one that is fitted first, which takes about a minute. With --scale 1 it is
fitted last, and only if a row was not run in full and well.

The exit status is 1 when a row failed; the table has the others.`

// newBenchTableCommand returns the command that runs the field's table.
func newBenchTableCommand() *cobra.Command {
	var (
		s               trial.Setup
		o               trial.TableOptions
		rows            string
		model, markdown string
		asJSON          bool
		page            string
	)
	cmd := &cobra.Command{
		Use:   "table",
		Short: "Run the field's table, from 10,000 to 500,000 connections",
		Long:  tableLong,
		Example: `  socketeer bench table
  socketeer bench table --row 1 --scale 1 --duration 30s
  socketeer bench table --row 2 --scale 0.1 --model model.json --markdown table.md --html table.html
  socketeer bench table --row 1 --serve "node ws-server.js {port}"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Rows, err = chosenRows(rows); err != nil {
				return err
			}
			if !(o.Scale >= 0 && o.Scale <= 1) {
				return wrong("--scale %g: a fraction of a row, above 0 and at most 1", o.Scale)
			}
			if model != "" {
				if o.Model, err = trial.ReadModel(model); err != nil {
					return err
				}
			}
			if err := writable(markdown); err != nil {
				return err
			}
			if err := writable(page); err != nil {
				return err
			}
			made := origin(cmd)
			var t *trial.TableReport
			err = try(cmd, s, asJSON, func(ctx context.Context, s trial.Setup) (table, error) {
				var err error
				if t, err = trial.RunTable(ctx, s, o); t != nil {
					t.Origin = made
				}
				return t, err
			})
			if t == nil {
				return err
			}
			return errors.Join(err, writeMarkdown(markdown, t), writeSheet(page, t.Sheet()), t.Failed())
		},
	}
	f := cmd.Flags()
	f.StringVar(&rows, "row", "all", "1, 2, 3, 4 or all")
	f.Float64Var(&o.Scale, "scale", 0, "fraction of a row's connections and rate (default: what fits processors, memory and open files)")
	f.StringVar(&model, "model", "", "file with a capacity model, from bench model --json")
	f.StringVar(&markdown, "markdown", "", "file to write the table to, too")
	trialFlags(f, &s, &asJSON, &page, 10*time.Second)
	return cmd
}

func chosenRows(text string) ([]int, error) {
	all := len(trial.Rows())
	if text == "all" {
		rows := make([]int, all)
		for i := range rows {
			rows[i] = i + 1
		}
		return rows, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > all {
		return nil, wrong("--row %s: there are 1 to %d, and all", text, all)
	}
	return []int{n}, nil
}

func writeMarkdown(file string, t *trial.TableReport) error {
	if file == "" {
		return nil
	}
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("socketeer: %w", err)
	}
	if err := errors.Join(t.WriteMarkdown(f), f.Close()); err != nil {
		return fmt.Errorf("socketeer: %w", err)
	}
	return nil
}
