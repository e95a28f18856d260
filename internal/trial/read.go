package trial

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/socketeer-io/socketeer/internal/benchpage"
)

// ErrNoSheet says that JSON is no report of a table, a model or growth.
var ErrNoSheet = errors.New("socketeer: neither a table, nor a model, nor growth")

// ReadSheet returns the page of a report from its JSON form: a table's, a
// model's or that of growth, which is told by what it holds.
func ReadSheet(b []byte) (benchpage.Sheet, error) {
	var what struct{ Rows, Formula, Connections json.RawMessage }
	if err := json.Unmarshal(b, &what); err != nil {
		return benchpage.Sheet{}, ErrNoSheet
	}
	switch {
	case what.Rows != nil:
		return sheet(b, new(TableReport), (*TableReport).check)
	case what.Formula != nil:
		return sheet(b, new(ModelReport), func(*ModelReport) error { return nil })
	case what.Connections != nil:
		return sheet(b, new(GrowthReport), (*GrowthReport).check)
	}
	return benchpage.Sheet{}, ErrNoSheet
}

// sheet returns the page of a report whose JSON is b, if it passes a check.
func sheet[R interface{ Sheet() benchpage.Sheet }](b []byte, r R, check func(R) error) (benchpage.Sheet, error) {
	if err := json.Unmarshal(b, r); err != nil {
		return benchpage.Sheet{}, fmt.Errorf("socketeer: %w", err)
	}
	if err := check(r); err != nil {
		return benchpage.Sheet{}, err
	}
	return r.Sheet(), nil
}

// check makes sure that all of the rows is there that is shown.
func (t *TableReport) check() error {
	for _, r := range t.Rows {
		if r.Report != nil && r.Report.Load == nil {
			return fmt.Errorf("socketeer: row %d has a report without a load", r.Number)
		}
	}
	return nil
}

// check makes sure that all of the points is there that is shown.
func (g *GrowthReport) check() error {
	for _, c := range []Curve{g.Nodes, g.Conns} {
		for i, p := range c.Points {
			if p.Report == nil || p.Report.Load == nil || p.Report.Load.Server == nil || p.Report.Memory == nil {
				return fmt.Errorf("socketeer: point %d of a curve has no load, CPU time or memory of the servers", i+1)
			}
		}
	}
	return nil
}
