package top

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"weir/api"
)

// A cell is a text; of a number, with what it is sorted by.
type cell struct {
	text  string
	value float64
}

// A pane is a table: its columns, and its rows out of what is known.
type pane struct {
	name    string
	columns []string
	first   int // the column by which it is sorted first
	rows    func(known) [][]cell
}

// paneCount is how many panes there are.
const paneCount = 5

var panes = [paneCount]pane{
	{"tenants", []string{"TENANT", "CONNECTIONS", "NEW/S", "DENIED/S", "OVER RATE/S", "OF LIMIT"}, 1, tenantRows},
	{"rules", []string{"RULE", "ACTION", "HITS/S", "HITS", "CONNECTIONS"}, 2, ruleRows},
	{"backends", []string{"BALANCER", "BACKEND", "STATE", "HEALTH", "WEIGHT", "NEW/S", "CONNECTIONS"}, 6, backendRows},
	{"talkers", []string{"KIND", "WHO", "TENANT", "BYTES", "CONNECTIONS"}, 4, talkerRows},
	{"drops", []string{"BRIDGE", "REASON", "PACKETS/S", "PACKETS"}, 2, dropRows},
}

// kinds are which talkers are shown; the first is all.
var kinds = []string{"", "source", "destination", "rule", "backend"}

func text(s string) cell { return cell{text: cmp.Or(s, "-"), value: 0} }

func number[N int | uint16 | uint64](n N) cell { return cell{fmt.Sprint(n), float64(n)} }

// perSecond is a rate between two answers; it is not known before there are two, and when something
// has begun anew.
func (m known) perSecond(now, before uint64, there bool) cell {
	seconds := m.now.At.Sub(m.before.At).Seconds()
	if m.before.At.IsZero() || seconds <= 0 || now < before || !there {
		return cell{"-", -1}
	}
	return rate(float64(now-before) / seconds)
}

func rate(r float64) cell {
	switch {
	case r > 0 && r < 0.05:
		return cell{"<0.1", r}
	case r > 0 && r < 9.95:
		return cell{fmt.Sprintf("%.1f", r), r}
	}
	return cell{fmt.Sprintf("%.0f", r), r}
}

func tenantRows(m known) (rows [][]cell) {
	was := map[string]api.TopTenant{}
	for _, t := range m.before.Tenants {
		was[t.Name] = t
	}
	for _, t := range m.now.Tenants {
		b, there := was[t.Name]
		limit := text("")
		if t.Limit != nil && t.Limit.Max > 0 {
			used := 100 * float64(t.Limit.Connections) / float64(t.Limit.Max)
			limit = cell{strings.TrimSpace(fmt.Sprintf("%.0f%% %s", used, t.Limit.Alarm)), used}
		}
		rows = append(rows, []cell{
			text(t.Name), number(t.Connections), m.perSecond(t.Begun, b.Begun, there), m.perSecond(t.Denied, b.Denied, there), m.perSecond(t.Metered, b.Metered, there), limit,
		})
	}
	return rows
}

func ruleRows(m known) (rows [][]cell) {
	was := map[string]api.Rule{}
	for _, r := range m.before.Rules {
		was[r.ID] = r
	}
	for _, r := range m.now.Rules {
		b, there := was[r.ID]
		rows = append(rows, []cell{text(r.ID), text(r.Action), m.perSecond(r.Hits, b.Hits, there), number(r.Hits), number(r.Connections)})
	}
	return rows
}

func backendRows(m known) (rows [][]cell) {
	for _, l := range m.now.Balancers {
		for _, b := range l.Backends {
			name := b.Address
			if b.Endpoint != "" {
				name = b.Endpoint[strings.LastIndexByte(b.Endpoint, '/')+1:] + " " + b.Address
			}
			weight := cell{fmt.Sprint(b.InForce), float64(b.InForce)}
			if b.InForce != b.Weight {
				weight.text += fmt.Sprintf(" of %d", b.Weight)
			}
			rows = append(rows, []cell{text(strings.Replace(l.ID, "/loadbalancer/", "/", 1)), text(name), text(b.State), text(b.Health), weight, rate(b.PerSecond), number(b.Connections)})
		}
	}
	return rows
}

func talkerRows(m known) (rows [][]cell) {
	for _, t := range m.now.Talkers {
		if kind := kinds[m.kind]; kind != "" && kind != t.Kind {
			continue
		}
		bytes := text("")
		if t.Bytes > 0 {
			bytes = cell{bytesText(t.Bytes), float64(t.Bytes)}
		}
		who := t.Name
		if t.Endpoint != "" {
			who += " " + t.Endpoint
		}
		rows = append(rows, []cell{text(t.Kind), text(who), text(t.Tenant), bytes, number(t.Connections)})
	}
	return rows
}

func bytesText(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for ; v >= 1024 && i < len(units)-1; i++ {
		v /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}

func dropRows(m known) (rows [][]cell) {
	was := map[[2]string]uint64{}
	there := map[string]bool{}
	for _, b := range m.before.Bridges {
		there[b.Name] = true
		for _, d := range b.Drops {
			was[[2]string{b.Name, d.Reason}] = d.Packets
		}
	}
	for _, b := range m.now.Bridges {
		for _, d := range b.Drops {
			rows = append(rows, []cell{text(b.Name), text(d.Reason), m.perSecond(d.Packets, was[[2]string{b.Name, d.Reason}], there[b.Name]), number(d.Packets)})
		}
	}
	return rows
}

// rows are those of the pane, sorted: numbers from the most down, texts from the first on.
func (m Model) rows() [][]cell {
	rows := panes[m.pane].rows(m.known)
	o := m.sorted[m.pane]
	slices.SortStableFunc(rows, func(a, b []cell) int {
		c := cmp.Compare(b[o.column].value, a[o.column].value)
		if c == 0 && !isNumber(panes[m.pane].columns[o.column]) {
			c = cmp.Compare(a[o.column].text, b[o.column].text)
		}
		if o.turned {
			return -c
		}
		return c
	})
	return rows
}

// isNumber reports whether a column has numbers, which stand at its right.
func isNumber(column string) bool {
	return strings.HasSuffix(column, "/S") || slices.Contains([]string{"CONNECTIONS", "HITS", "PACKETS", "BYTES", "WEIGHT", "OF LIMIT"}, column)
}
