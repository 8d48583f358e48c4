// Package ovsdb reads and changes the configuration database of Open vSwitch: which
// bridges there are, with which ports, and who their controller is.
//
// What is read comes as whole snapshots. What is changed is changed in one transaction,
// which does nothing if somebody else has changed the same meanwhile.
package ovsdb

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"

	"weir/internal/unixctl"
)

// A Snapshot is what the database says at one moment. It never changes.
type Snapshot struct {
	Connected  bool   // the database can be reached; if not, the rest is what it said last
	Err        error  // why it cannot be reached
	OVSVersion string // of ovs-vswitchd
	Bridges    map[string]Bridge
	Keys       bool                         // it was told with what it speaks TLS (table SSL); its daemons may have been, besides, by flags
	Zones      map[string]map[uint16]CTZone // by type of datapath
}

// A Bridge is a bridge with its ports.
type Bridge struct {
	Name         string
	DatapathID   string // 16 hexadecimal digits; empty until ovs-vswitchd has made the bridge
	DatapathType string // "", "system", "netdev"
	FailMode     string // "", "secure", "standalone"
	Protocols    []string
	Controllers  []Controller
	ExternalIDs  map[string]string
	Ports        []Port // by name
}

// A Controller is what a bridge is told of one of its controllers.
type Controller struct {
	Target    string
	Connected bool
	Role      string
}

// A Port is an interface that ovs-vswitchd has opened.
type Port struct {
	Name    string
	IfaceID string // external_ids:iface-id
	OFPort  uint32 // never 0
	MAC     string
	Err     string
}

// The rows, as far as they are read or written. (Vendors' columns stay as they are.) They
// have no json tags: the client copies rows by way of JSON.
type (
	rootRow struct {
		UUID       string            `ovsdb:"_uuid"`
		OVSVersion *string           `ovsdb:"ovs_version"`
		Bridges    []string          `ovsdb:"bridges"`
		Datapaths  map[string]string `ovsdb:"datapaths"`
		SSL        *string           `ovsdb:"ssl"`
	}
	bridgeRow struct {
		UUID         string            `ovsdb:"_uuid"`
		Name         string            `ovsdb:"name"`
		DatapathType string            `ovsdb:"datapath_type"`
		DatapathID   *string           `ovsdb:"datapath_id"`
		FailMode     *string           `ovsdb:"fail_mode"`
		Protocols    []string          `ovsdb:"protocols"`
		Controller   []string          `ovsdb:"controller"`
		Ports        []string          `ovsdb:"ports"`
		ExternalIDs  map[string]string `ovsdb:"external_ids"`
	}
	portRow struct {
		UUID       string   `ovsdb:"_uuid"`
		Name       string   `ovsdb:"name"`
		Interfaces []string `ovsdb:"interfaces"`
	}
	interfaceRow struct {
		UUID        string            `ovsdb:"_uuid"`
		Name        string            `ovsdb:"name"`
		OFPort      *int              `ovsdb:"ofport"`
		MACInUse    *string           `ovsdb:"mac_in_use"`
		Error       *string           `ovsdb:"error"`
		ExternalIDs map[string]string `ovsdb:"external_ids"`
	}
	controllerRow struct {
		UUID                string            `ovsdb:"_uuid"`
		Target              string            `ovsdb:"target"`
		IsConnected         bool              `ovsdb:"is_connected"`
		Role                *string           `ovsdb:"role"`
		ConnectionMode      *string           `ovsdb:"connection_mode"`
		MaxBackoff          *int              `ovsdb:"max_backoff"`
		InactivityProbe     *int              `ovsdb:"inactivity_probe"`
		ControllerRateLimit *int              `ovsdb:"controller_rate_limit"`
		ControllerBurst     *int              `ovsdb:"controller_burst_limit"`
		ExternalIDs         map[string]string `ovsdb:"external_ids"`
		OtherConfig         map[string]string `ovsdb:"other_config"`
	}
)

// A Database is where a database is, and how it is spoken to.
type Database struct {
	Target string      // "unix:PATH", "tcp:ADDR:PORT", "ssl:ADDR:PORT"
	TLS    *tls.Config // for "ssl:": has to identify both sides, without a name of the server
}

// patience is how long a database may take to say what it has.
const patience = 10 * time.Second

// CheckTarget returns an error if target is not "unix:PATH", "tcp:ADDR:PORT" or "ssl:ADDR:PORT" (RFC 7047 is spoken at each).
func CheckTarget(target string) error {
	scheme, where, _ := strings.Cut(target, ":")
	ok := false
	switch scheme {
	case "unix":
		ok = where != ""
	case "tcp", "ssl":
		_, port, err := net.SplitHostPort(where)
		ok = err == nil && port != ""
	}
	if !ok {
		return fmt.Errorf("database %s: want unix:PATH, tcp:ADDR:PORT or ssl:ADDR:PORT", target)
	}
	return nil
}

// connect opens a connection and reads the tables.
func connect(ctx context.Context, at Database, changed func()) (client.Client, error) {
	target := at.Target
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if strings.HasPrefix(target, "ssl:") && at.TLS == nil {
		return nil, fmt.Errorf("database %s: TLS needs keys", target)
	}
	db, err := model.NewClientDBModel("Open_vSwitch", map[string]model.Model{
		"Open_vSwitch": &rootRow{}, "Bridge": &bridgeRow{}, "Port": &portRow{}, "Interface": &interfaceRow{}, "Controller": &controllerRow{},
		"Datapath": &datapathRow{}, "CT_Zone": &zoneRow{}, "CT_Timeout_Policy": &policyRow{},
	})
	if err != nil {
		return nil, err
	}
	silent := logr.Discard() // what matters comes as an error
	c, err := client.NewOVSDBClient(db, client.WithEndpoint(target), client.WithLogger(&silent), client.WithTLSConfig(at.TLS))
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", target, err)
	}
	if err := c.Connect(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("database %s: %w", target, at.explain(ctx, err))
	}
	if changed != nil {
		c.Cache().AddEventHandler(notifier(changed))
	}
	if _, err := c.Monitor(ctx, monitorOf(c)); err != nil {
		c.Close()
		return nil, fmt.Errorf("database %s: %w", target, err)
	}
	return c, nil
}

// monitorOf asks for the columns that the rows have, and no others: the client loses an
// update that has a column which the row does not.
func monitorOf(c client.Client) *client.Monitor {
	var (
		root rootRow
		b    bridgeRow
		p    portRow
		i    interfaceRow
		k    controllerRow
		d    datapathRow
		z    zoneRow
		t    policyRow
	)
	return c.NewMonitor(
		client.WithTable(&root, &root.OVSVersion, &root.Bridges, &root.Datapaths, &root.SSL),
		client.WithTable(&b, &b.Name, &b.DatapathType, &b.DatapathID, &b.FailMode, &b.Protocols, &b.Controller, &b.Ports, &b.ExternalIDs),
		client.WithTable(&p, &p.Name, &p.Interfaces),
		client.WithTable(&i, &i.Name, &i.OFPort, &i.MACInUse, &i.Error, &i.ExternalIDs),
		client.WithTable(&k, &k.Target, &k.IsConnected, &k.Role, &k.ConnectionMode, &k.MaxBackoff, &k.InactivityProbe,
			&k.ControllerRateLimit, &k.ControllerBurst, &k.ExternalIDs, &k.OtherConfig),
		client.WithTable(&d, &d.Zones, &d.ExternalIDs),
		client.WithTable(&z, &z.Policy, &z.ExternalIDs),
		client.WithTable(&t, &t.Timeouts))
}

// A notifier tells of every change, and not of what has changed: that is read whole.
type notifier func()

func (n notifier) OnAdd(string, model.Model)                 { n() }
func (n notifier) OnUpdate(string, model.Model, model.Model) { n() }
func (n notifier) OnDelete(string, model.Model)              { n() }

// Features returns what the datapath of a bridge can do, as ovs-vswitchd has probed it:
// "IPv6 ND Extension" is "Yes" or "No".
func Features(ctx context.Context, rundir, bridge string) (map[string]string, error) {
	c, err := unixctl.DialDaemon(ctx, rundir, "ovs-vswitchd")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	text, err := c.Call(ctx, "dpif/show-dp-features", bridge)
	if err != nil {
		return nil, err
	}
	features := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			features[k] = v
		}
	}
	return features, nil
}
