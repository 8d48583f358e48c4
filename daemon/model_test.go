package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"weir/intent"
)

// blue is a model with tenant blue on bridge br0, which has a network there.
func blue(t *testing.T) *intent.Model {
	t.Helper()
	m, err := intent.Read(intent.Source{Name: "m", Data: []byte(`
{apiVersion: weir/v1, kind: Bridge, metadata: {name: br0}}
---
{apiVersion: weir/v1, kind: Tenant, metadata: {name: blue}}
---
{apiVersion: weir/v1, kind: Network, metadata: {name: front, tenant: blue}, spec: {subnets: [{cidr: 10.1.0.0/24, gateway: 10.1.0.1}]}}
`)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const day = 24 * time.Hour

// patience is how long a condition is waited for: long, for a machine may have much else to do.
const patience = 30 * time.Second
