package daemon

import (
	"sync/atomic"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/store"
)

// A numbering is a store's numbers as the controller takes them: the two packages do
// not know one another. It publishes the newest numbers for those who only read.
type numbering struct {
	store  *store.Numbers
	newest *atomic.Pointer[store.Snapshot] // nil: nobody reads
}

func (n numbering) Assign(w pipeline.Wants) (pipeline.Numbers, error) {
	return n.publish(n.store.Assign(store.Wants(w)))
}

func (n numbering) Raise(epochs map[intent.ID]uint8) (pipeline.Numbers, error) {
	return n.publish(n.store.Raise(epochs))
}

func (n numbering) Preview(w pipeline.Wants) (pipeline.Numbers, error) {
	s, err := n.store.Preview(store.Wants(w))
	if err != nil {
		return nil, err // and not a nil *Snapshot, which would be numbers
	}
	return s, nil
}

func (n numbering) publish(s *store.Snapshot, err error) (pipeline.Numbers, error) {
	if err != nil {
		return nil, err
	}
	if n.newest != nil {
		n.newest.Store(s)
	}
	return s, nil
}

func (n numbering) Retired() []uint16 { return n.store.Retired() }

func (n numbering) Release(zone uint16) error { return n.store.Release(zone) }
