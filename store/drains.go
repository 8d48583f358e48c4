package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"github.com/google/renameio/v2"

	"weir/intent"
)

// A Drain is since when a backend of a port of a load balancer is to have no new connections on a bridge.
type Drain struct {
	Bridge   string         `json:"bridge"`
	Tenant   intent.ID      `json:"tenant"`
	Balancer intent.ID      `json:"balancer"`
	Protocol uint8          `json:"protocol"` // IP protocol
	Port     uint16         `json:"port"`     // of the load balancer
	Backend  netip.AddrPort `json:"backend"`
	Since    time.Time      `json:"since"`
}

// drains is what is in a file.
type drains struct {
	Layout int     `json:"layout"`
	Drains []Drain `json:"drains"`
}

const drainsLayout = 1

// LoadDrains reads what SaveDrains has written; of a file that is not there, nothing.
func LoadDrains(path string) ([]Drain, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var d drains
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if d.Layout != drainsLayout {
		return nil, fmt.Errorf("%s: layout %d is not %d: another version of weir wrote it", path, d.Layout, drainsLayout)
	}
	return d.Drains, nil
}

// SaveDrains writes them into a file, instead of what is there. A crash leaves the one or the other.
func SaveDrains(path string, all []Drain) error {
	b, err := json.MarshalIndent(drains{drainsLayout, all}, "", " ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, append(b, '\n'), 0o600)
}
