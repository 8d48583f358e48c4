package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"weir/daemon"
	"weir/ofproto/ofconn"
)

func serveCommand() *cobra.Command {
	c := daemon.Config{Version: version()}
	var logFormat, logLevel string
	cmd := &cobra.Command{
		Use:   "serve -f FILE|DIR|-",
		Short: "run the daemon: keep the bridges of a model as the model says",
		Long: `serve reads a model, attaches its bridges and keeps them as the model says. It reads
the model again when a file changes and on SIGHUP; a model with a mistake changes
nothing, and "weir status" says what is wrong with it. SIGTERM and SIGINT end it and
leave bridges and flows as they are: see "weir detach" for the way back.

With --host NAME=RUNDIR[,OVSDB], given once for each, it serves the bridges of several Open vSwitches,
whose run directories it sees. A bridge is found on the host that has one of its name; where several have, the
model calls it HOST/BRIDGE. A host that is away costs only what is its own.`,
		Args: cobra.NoArgs,
	}
	path := fileFlag(cmd)
	flags := cmd.Flags()
	hosts := hostFlags(cmd)
	flags.StringVar(&c.State, "state-dir", "/var/lib/weir", "where the numbers given to intents are kept")
	flags.StringVar(&c.Socket, "socket", defaultSocket, "the control socket")
	flags.StringVar(&c.Listen, "listen", "", "let bridges connect to ssl:ADDR:PORT or tcp:ADDR:PORT (default: to RUNDIR/BRIDGE.controller)")
	flags.StringVar(&c.Advertise, "advertise", "", "the ADDR or ADDR:PORT that bridges are told to connect to (default: that of --listen)")
	keyFlags(cmd, &c.Keys)
	flags.StringVar(&logFormat, "log-format", "text", "text or json")
	flags.StringVar(&logLevel, "log-level", "info", "error, warning, info or debug")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c.Model = *path
		log, err := newLog(cmd.ErrOrStderr(), logFormat, logLevel)
		if err != nil {
			return err
		}
		all, err := hosts()
		if err != nil {
			return err
		}
		return daemon.Serve(cmd.Context(), cmd.InOrStdin(), c, all, log)
	}
	return cmd
}

// keyFlags adds the flags that say with what TLS is spoken, as those of Open vSwitch's own daemons.
func keyFlags(cmd *cobra.Command, k *ofconn.Keys) {
	flags := cmd.Flags()
	flags.StringVarP(&k.PrivateKey, "private-key", "p", "", "for ssl:, the key of --certificate (PEM)")
	flags.StringVarP(&k.Certificate, "certificate", "c", "", "for ssl:, our certificate, and those between it and its authority (PEM)")
	flags.StringVarP(&k.CA, "ca-cert", "C", "", "for ssl:, the certificates of the authorities that sign switches (PEM)")
}

// hostFlags adds the flags that say where Open vSwitch is, and returns what reads them: one host or more.
func hostFlags(cmd *cobra.Command) func() ([]*daemon.Host, error) {
	flags := cmd.Flags()
	target := flags.String("ovsdb", "unix:/run/openvswitch/db.sock", "the Open vSwitch database: unix:PATH, ssl:ADDR:PORT or tcp:ADDR:PORT")
	rundir := flags.String("ovs-rundir", "/run/openvswitch", "the run directory of ovs-vswitchd")
	said := flags.StringArray("host", nil, "one of several Open vSwitches, once for each: NAME=RUNDIR[,OVSDB] (default OVSDB: unix:RUNDIR/db.sock)")
	return func() ([]*daemon.Host, error) {
		if len(*said) > 0 && (flags.Changed("ovsdb") || flags.Changed("ovs-rundir")) {
			return nil, errors.New("--host says where everything is: leave --ovsdb and --ovs-rundir out, which are for the only one")
		}
		return daemon.HostsOf(*said, *target, *rundir)
	}
}

func newLog(w io.Writer, format, level string) (*logrus.Logger, error) {
	log := logrus.New()
	log.SetOutput(w)
	l, err := logrus.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("--log-level %s: must be error, warning, info or debug", level)
	}
	log.SetLevel(l)
	switch format {
	case "json":
		log.SetFormatter(&logrus.JSONFormatter{})
	case "text":
		log.SetFormatter(newFormatter(w))
	default:
		return nil, fmt.Errorf("--log-format %s: must be text or json", format)
	}
	return log, nil
}
