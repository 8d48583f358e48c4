package daemon

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/sirupsen/logrus"

	"weir/drain"
	"weir/intent"
	"weir/store"
)

// A drainBook remembers, over a restart, since when backends drain: in a file of the state directory. If
// that is damaged, or cannot be written, the time of a drain begins anew, and nothing else is the worse for it.
type drainBook struct {
	path  string
	log   *logrus.Logger
	dirty chan struct{} // something has not been written

	mu  sync.Mutex // guards all: sessions write and read it, and the book's own goroutine
	all map[drainPage]drain.Since
}

// A drainPage is what one session knows of one tenant.
type drainPage struct {
	bridge string
	tenant intent.ID
}

// openDrains reads the book, as far as it is of bridges and tenants of a model.
func openDrains(path string, m *intent.Model, log *logrus.Logger) *drainBook {
	b := &drainBook{path: path, log: log, dirty: make(chan struct{}, 1), all: map[drainPage]drain.Since{}}
	list, err := store.LoadDrains(path)
	if err != nil {
		log.WithError(err).Warn("since when backends drain is not known: their time begins anew")
	}
	for _, d := range list {
		page := drainPage{d.Bridge, d.Tenant}
		if m.Tenant(string(d.Tenant)) == nil || !slices.ContainsFunc(m.Bridges(), func(b *intent.Bridge) bool { return b.Name == d.Bridge }) {
			continue
		}
		if b.all[page] == nil {
			b.all[page] = drain.Since{}
		}
		b.all[page][drain.Key{Service: d.Balancer, Protocol: d.Protocol, Port: d.Port, Backend: d.Backend}] = d.Since
	}
	return b
}

// recall is controller.Config.Recall.
func (b *drainBook) recall(bridge string, tenant intent.ID) drain.Since {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all[drainPage{bridge, tenant}]
}

// remember is controller.Config.Remember.
func (b *drainBook) remember(bridge string, tenant intent.ID, s drain.Since) {
	b.mu.Lock()
	defer b.mu.Unlock()
	page := drainPage{bridge, tenant}
	if maps.Equal(b.all[page], s) {
		return
	}
	if b.all[page] = s; len(s) == 0 {
		delete(b.all, page)
	}
	select {
	case b.dirty <- struct{}{}:
	default: // it is going to be written
	}
}

// run writes the book when it has changed, until ctx is done.
func (b *drainBook) run(ctx context.Context) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.dirty:
		}
		err := store.SaveDrains(b.path, b.list())
		if err != nil && !failing {
			b.log.WithError(err).Warn("since when backends drain cannot be written: their time begins anew when the daemon does")
		}
		failing = err != nil
	}
}

// list is what is written, in order.
func (b *drainBook) list() []store.Drain {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := []store.Drain{}
	for page, since := range b.all {
		for k, at := range since {
			all = append(all, store.Drain{Bridge: page.bridge, Tenant: page.tenant, Balancer: k.Service, Protocol: k.Protocol, Port: k.Port, Backend: k.Backend, Since: at.UTC()})
		}
	}
	slices.SortFunc(all, func(a, b store.Drain) int {
		return cmp.Or(cmp.Compare(a.Bridge, b.Bridge), cmp.Compare(a.Balancer, b.Balancer), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol), a.Backend.Compare(b.Backend))
	})
	return all
}
