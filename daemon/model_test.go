package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// twoHosts is a tenant with two endpoints, and a policy of one rule.
const twoHosts = `apiVersion: weir/v1
kind: Bridge
metadata: {name: br0}
---
apiVersion: weir/v1
kind: Tenant
metadata: {name: blue}
---
apiVersion: weir/v1
kind: Network
metadata: {name: front, tenant: blue}
spec: {subnets: [{cidr: 10.1.0.0/24, gateway: 10.1.0.1}]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: web-1, tenant: blue, labels: {tier: web}}
spec: {network: front, bind: {port: p1}, mac: "02:00:00:00:00:11", ips: [10.1.0.11]}
---
apiVersion: weir/v1
kind: Endpoint
metadata: {name: app-1, tenant: blue, labels: {tier: app}}
spec: {network: front, bind: {ifaceID: app-1}, mac: "02:00:00:00:00:12", ips: [10.1.0.12]}
---
apiVersion: weir/v1
kind: Policy
metadata: {name: web, tenant: blue}
spec:
  appliesTo: {labels: {tier: web}}
  rules:
  - {name: http, direction: ingress, action: allow, protocol: tcp, ports: [80]}
`

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
