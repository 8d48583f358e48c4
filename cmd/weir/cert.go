package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/api"
	"weir/daemon"
	"weir/internal/pki"
)

// day is what --days counts.
const day = 24 * time.Hour

func certCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "make the certificates of switches and controllers, and show certificates",
		Long: `cert makes what TLS between switches and controllers needs, without another tool:
an authority that signs controllers and one that signs switches, and keys with
certificates. What is there and still good is left as it is, so that it can be run at
every start.`,
	}
	cmd.AddCommand(certInitCommand(), certSignCommand(), certShowCommand())
	return cmd
}

// dirFlag adds --dir.
func dirFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("dir", "/etc/weir/tls", "the folder of the authorities and of what they have signed")
}

// daysFlag adds --days.
func daysFlag(cmd *cobra.Command, n int) *int {
	return cmd.Flags().Int("days", n, "until it expires")
}

func checkDays(n int) error {
	if n < 1 || n > 36500 {
		return fmt.Errorf("--days %d: must be 1 to 36500", n)
	}
	return nil
}

func certInitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "make the authorities that are not there yet: controllers-ca and switches-ca",
		Args:  cobra.NoArgs,
	}
	dir, days := dirFlag(cmd), daysFlag(cmd, 3650)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkDays(*days); err != nil {
			return err
		}
		now, f := time.Now(), pki.Folder(*dir)
		for _, side := range []pki.Side{pki.Controllers, pki.Switches} {
			made, err := f.Init(side, now, now.Add(time.Duration(*days)*day))
			if err != nil {
				return err
			}
			said := "is there already"
			if made {
				said = "made"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", f.CA(side), said)
		}
		return nil
	}
	return cmd
}

// A signFlags is what a certificate is to say.
type signFlags struct {
	dir                 string
	controller, aSwitch bool
	dns, uris           []string
	days                int
	renewBefore         int // days before it expires in which a certificate is made anew
}

func certSignCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sign --controller|--switch NAME...",
		Short: "make keys, and certificates that one of the authorities has signed",
		Long: `sign makes NAME.key and NAME.pem. A certificate that is there and still good for more
than --renew-before days is left as it is. A Bridge whose spec has certificate: NAME
takes no switch but that one.`,
		Args: cobra.MinimumNArgs(1),
	}
	var f signFlags
	dir, days := dirFlag(cmd), daysFlag(cmd, 365)
	flags := cmd.Flags()
	flags.BoolVar(&f.controller, "controller", false, "for weir serve")
	flags.BoolVar(&f.aSwitch, "switch", false, "for ovs-vsctl set-ssl")
	flags.StringSliceVar(&f.dns, "dns", nil, "more names, for one NAME")
	flags.StringSliceVar(&f.uris, "uri", nil, "names as URIs, for one NAME")
	flags.IntVar(&f.renewBefore, "renew-before", 30, "make it anew when it expires in fewer days; more than it has left: now")
	cmd.MarkFlagsOneRequired("controller", "switch")
	cmd.MarkFlagsMutuallyExclusive("controller", "switch")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		f.dir, f.days = *dir, *days
		return f.sign(cmd.OutOrStdout(), names, time.Now())
	}
	return cmd
}

func (f signFlags) sign(out io.Writer, names []string, now time.Time) error {
	if err := checkDays(f.days); err != nil {
		return err
	}
	if len(names) > 1 && len(f.dns)+len(f.uris) > 0 {
		return fmt.Errorf("--dns and --uri name one switch or controller: sign %s one by one", strings.Join(names, ", "))
	}
	side, folder := pki.Controllers, pki.Folder(f.dir)
	if f.aSwitch {
		side = pki.Switches
	}
	for _, name := range names {
		if err := pki.CheckName(name); err != nil {
			return err
		}
	}
	for _, name := range names {
		until, kept := folder.Good(side, name, now.Add(time.Duration(f.renewBefore)*day))
		if kept {
			fmt.Fprintf(out, "%s: is good until %s, and left as it is\n", folder.Certificate(name), until.Format(time.DateOnly))
			continue
		}
		until = now.Add(time.Duration(f.days) * day)
		if err := folder.Sign(side, pki.Request{Name: name, DNS: f.dns, URIs: f.uris, Until: until}, now); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: made, good until %s\n", folder.Certificate(name), until.Format(time.DateOnly))
	}
	return nil
}

// A proof is what a certificate says.
type proof struct {
	File     string    `json:"file"`
	Names    []string  `json:"names"` // common name, DNS names, URIs
	SignedBy string    `json:"signedBy"`
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`
	Alarm    string    `json:"alarm,omitempty"` // "30 days", "7 days", "expired"
}

func certShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show FILE...",
		Short: "say what certificates say: names, who has signed them, until when they are good",
		Args:  cobra.MinimumNArgs(1),
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		all := []proof{}
		for _, file := range files {
			c, err := pki.ReadCertificate(file)
			if err != nil {
				return err
			}
			told := daemon.CertificateOf("", c, time.Now())
			all = append(all, proof{file, told.Names, c.Issuer.CommonName, c.NotBefore.UTC(), told.Until, told.Alarm})
		}
		return listing{value: all, names: files, table: func(w io.Writer, _ bool) { shownTable(w, all) }}.print(cmd.OutOrStdout(), *format)
	}
	return cmd
}

func shownTable(w io.Writer, all []proof) {
	row(w, "FILE", "NAMES", "SIGNED BY", "FROM", "UNTIL", "")
	for _, s := range all {
		row(w, s.File, strings.Join(s.Names, ","), s.SignedBy, s.From.Format(time.RFC3339), s.Until.Format(time.RFC3339), api.ExpiryText(s.Alarm))
	}
}
