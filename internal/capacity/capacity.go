// Package capacity says what a load would need, from a model fitted to what
// other loads were measured to cost.
//
// # The model
//
//	server cores    = node      * nodes
//	                + held      * connections
//	                + delivery  * deliveries/s
//	                + send      * sends/s
//	                + crossing  * crossings/s
//	generator cores = gdelivery * deliveries/s + gsend * sends/s
//	server memory   = nodemem   * nodes + connmem * connections
//
// A connection that is held costs its heartbeats and its part of a larger heap.
// A delivery is one message to one member of a room. A send is a message from
// a client: deliveries/s divided by the members of a room. A crossing is a
// send that another node has to be told of: the members of a room are dealt to
// the nodes in turn, so a send crosses to min(nodes, members) - 1 others.
//
// The coefficients are those with the least sum of squared relative errors,
// none below zero: what nothing in the runs shows counts as free. The model is
// linear and knows no saturation. In particular, servers join what has queued
// for a connection in one write, so that a delivery costs less the busier they
// are: predictions far above the measured rates are on the safe side.
package capacity

import (
	"errors"
	"fmt"
	"math"
)

// Load is what servers have to carry.
type Load struct {
	Nodes      int     `json:"nodes"`
	Conns      int     `json:"conns"`
	Room       int     `json:"room"` // members a room
	Deliveries float64 `json:"deliveries_per_second"`
	Polling    float64 `json:"polling,omitempty"` // share of the connections on HTTP long-polling
}

// Sockets returns the TCP connections that a load may have: a client on HTTP
// long-polling has two.
func (l Load) Sockets() int { return l.Conns + int(math.Ceil(float64(l.Conns)*l.Polling)) }

// Sends returns the messages a second that clients send.
func (l Load) Sends() float64 { return l.Deliveries / float64(max(1, l.Room)) }

// Crossings returns the messages a second from one node to another.
func (l Load) Crossings() float64 { return l.Sends() * float64(max(1, min(l.Nodes, l.Room))-1) }

// Need is what a load needs, or was measured to take.
type Need struct {
	ServerCores    float64 `json:"server_cores"`
	GeneratorCores float64 `json:"generator_cores"`
	MemoryKiB      float64 `json:"memory_kib"` // of the servers
}

// Cores returns the cores of servers and generator together.
func (n Need) Cores() float64 { return n.ServerCores + n.GeneratorCores }

// Unmeasured returns what of a measured need is not there, "" when all is.
// No model can be fitted to such a run, nor checked by it.
func (n Need) Unmeasured() string {
	for _, part := range []struct {
		value float64
		name  string
	}{{n.ServerCores, "CPU time of the servers"}, {n.GeneratorCores, "CPU time of the generator"}, {n.MemoryKiB, "memory of the servers"}} {
		if !(part.value > 0) {
			return part.name
		}
	}
	return ""
}

// Run is a load and what it was measured to take.
type Run struct {
	Load
	Need
}

// Model is the coefficients, in microseconds of CPU time an event, but for
// those that say otherwise.
type Model struct {
	NodeCores         float64 `json:"node_cores"`
	Held              float64 `json:"held_us_per_second"`
	Delivery          float64 `json:"delivery_us"`
	Send              float64 `json:"send_us"`
	Crossing          float64 `json:"crossing_us"`
	GeneratorDelivery float64 `json:"generator_delivery_us"`
	GeneratorSend     float64 `json:"generator_send_us"`
	NodeKiB           float64 `json:"node_kib"`
	ConnectionKiB     float64 `json:"connection_kib"`
}

// Formula is the model for people.
const Formula = `server cores    = node * nodes + held * connections
                + delivery * deliveries/s + send * sends/s + crossing * crossings/s
generator cores = gdelivery * deliveries/s + gsend * sends/s
server memory   = nodemem * nodes + connmem * connections
sends/s = deliveries/s / members of a room; crossings/s = sends/s * (min(nodes, members) - 1)`

const micro = 1e-6

// serverTerms are what the coefficients of the servers' cores multiply.
func (l Load) serverTerms() []float64 {
	return []float64{float64(l.Nodes), float64(l.Conns) * micro, l.Deliveries * micro, l.Sends() * micro, l.Crossings() * micro}
}

func (l Load) generatorTerms() []float64 {
	return []float64{l.Deliveries * micro, l.Sends() * micro}
}

func (l Load) memoryTerms() []float64 { return []float64{float64(l.Nodes), float64(l.Conns)} }

// Predict returns what a load needs.
func (m *Model) Predict(l Load) Need {
	return Need{
		ServerCores:    dot(l.serverTerms(), []float64{m.NodeCores, m.Held, m.Delivery, m.Send, m.Crossing}),
		GeneratorCores: dot(l.generatorTerms(), []float64{m.GeneratorDelivery, m.GeneratorSend}),
		MemoryKiB:      dot(l.memoryTerms(), []float64{m.NodeKiB, m.ConnectionKiB}),
	}
}

// Fit returns the model that explains the runs best. It needs at least as many
// runs as there are terms for the servers' cores, and different ones.
func Fit(runs []Run) (*Model, error) {
	if terms := len(Load{}.serverTerms()); len(runs) < terms {
		return nil, fmt.Errorf("socketeer: a capacity model needs at least %d runs, not %d", terms, len(runs))
	}
	for i, r := range runs {
		if what := r.Unmeasured(); what != "" {
			return nil, fmt.Errorf("socketeer: run %d of a capacity model has measured no %s", i+1, what)
		}
	}
	server, err := fit(runs, Load.serverTerms, func(n Need) float64 { return n.ServerCores })
	if err != nil {
		return nil, err
	}
	generator, err := fit(runs, Load.generatorTerms, func(n Need) float64 { return n.GeneratorCores })
	if err != nil {
		return nil, err
	}
	memory, err := fit(runs, Load.memoryTerms, func(n Need) float64 { return n.MemoryKiB })
	if err != nil {
		return nil, err
	}
	return &Model{
		NodeCores: server[0], Held: server[1], Delivery: server[2], Send: server[3], Crossing: server[4],
		GeneratorDelivery: generator[0], GeneratorSend: generator[1],
		NodeKiB: memory[0], ConnectionKiB: memory[1],
	}, nil
}

// Residual is how far a prediction is from what was measured.
type Residual struct {
	Run
	Predicted Need `json:"predicted"`
}

// Check predicts a run's load.
func (m *Model) Check(r Run) Residual { return Residual{Run: r, Predicted: m.Predict(r.Load)} }

// ServerError returns by how much of the measured server cores the predicted
// ones are off: 0.1 when they are a tenth too high.
func (r Residual) ServerError() float64 { return r.Predicted.ServerCores/r.ServerCores - 1 }

// MemoryError is ServerError for the memory.
func (r Residual) MemoryError() float64 { return r.Predicted.MemoryKiB/r.MemoryKiB - 1 }

// fit solves one of the model's lines, each run weighed by what it measured,
// so that the relative errors count.
func fit(runs []Run, terms func(Load) []float64, measured func(Need) float64) ([]float64, error) {
	rows := make([][]float64, len(runs))
	ones := make([]float64, len(runs))
	for i, r := range runs {
		rows[i] = terms(r.Load)
		for j := range rows[i] {
			rows[i][j] /= measured(r.Need)
		}
		ones[i] = 1
	}
	return leastSquares(rows, ones)
}

var errAlike = errors.New("socketeer: the runs of a capacity model are too much alike to tell what costs what: vary nodes, members and rates")

// leastSquares returns the x, none of them below zero, with the least
// |rows x - want|². A column that would be below zero, or is zero everywhere,
// gets zero, and the rest is solved again.
func leastSquares(rows [][]float64, want []float64) ([]float64, error) {
	n := len(rows[0])
	norm := make([]float64, n) // columns differ by orders of magnitude
	for j := range n {
		for _, row := range rows {
			norm[j] = math.Hypot(norm[j], row[j])
		}
	}
	var columns []int
	for j := range n {
		if norm[j] > 0 {
			columns = append(columns, j)
		}
	}
	x := make([]float64, n)
	for len(columns) > 0 {
		y, err := normalEquations(rows, want, columns, norm)
		if err != nil {
			return nil, err
		}
		lowest := 0
		for k := range y {
			if y[k] < y[lowest] {
				lowest = k
			}
		}
		if y[lowest] >= 0 {
			for k, j := range columns {
				x[j] = y[k] / norm[j]
			}
			break
		}
		columns = append(columns[:lowest], columns[lowest+1:]...)
	}
	return x, nil
}

// normalEquations solves AᵀA y = Aᵀ want, where A is the chosen columns of
// rows, each of length one.
func normalEquations(rows [][]float64, want []float64, columns []int, norm []float64) ([]float64, error) {
	n := len(columns)
	m := make([][]float64, n)
	for a := range n {
		m[a] = make([]float64, n+1)
		for i, row := range rows {
			v := row[columns[a]] / norm[columns[a]]
			for b := range n {
				m[a][b] += v * row[columns[b]] / norm[columns[b]]
			}
			m[a][n] += v * want[i]
		}
	}
	return eliminate(m)
}

// eliminate solves a system of linear equations by Gaussian elimination with
// partial pivoting. It changes m, whose last column is the right-hand side.
func eliminate(m [][]float64) ([]float64, error) {
	const tiny = 1e-9 // of columns of length one: they are multiples of each other
	n := len(m)
	for k := range n {
		pivot := k
		for i := k + 1; i < n; i++ {
			if math.Abs(m[i][k]) > math.Abs(m[pivot][k]) {
				pivot = i
			}
		}
		m[k], m[pivot] = m[pivot], m[k]
		if math.Abs(m[k][k]) < tiny {
			return nil, errAlike
		}
		for i := k + 1; i < n; i++ {
			f := m[i][k] / m[k][k]
			for j := k; j <= n; j++ {
				m[i][j] -= f * m[k][j]
			}
		}
	}
	x := make([]float64, n)
	for k := n - 1; k >= 0; k-- {
		x[k] = m[k][n]
		for j := k + 1; j < n; j++ {
			x[k] -= m[k][j] * x[j]
		}
		x[k] /= m[k][k]
	}
	return x, nil
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
