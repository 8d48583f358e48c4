package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// plain are the verbs that have no -o, and why.
var plain = map[string]string{
	"weir serve": "it goes on, and has a log", "weir demo": "it is a session, for people", "weir compile": "it prints a file for ovs-ofctl",
	"weir validate": "it prints mistakes, or nothing", "weir detach": "it says what it has done", "weir version": "it is one line", "weir manual": "it is a page",
	"weir cert init": "it says what it has done", "weir cert sign": "it says what it has done",
	"weir ofp print": "it is text for text", "weir ofp encode": "it is text for text, or --json", "weir ofp decode": "it is text for text, or --json",
}

// TestEveryVerbThatShowsSomethingHasEveryFormat goes through all verbs. TestEveryFormatSaysTheSame, with a daemon, runs them.
func TestEveryVerbThatShowsSomethingHasEveryFormat(t *testing.T) {
	seen := map[string]bool{}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if !c.Runnable() {
			return
		}
		name := c.CommandPath()
		seen[name] = true
		flag := c.Flags().Lookup("output")
		switch {
		case plain[name] != "" && flag != nil:
			t.Errorf("%s has -o: it is no exception any more", name)
		case plain[name] != "":
		case flag == nil || flag.Shorthand != "o" || !strings.HasSuffix(flag.Usage, strings.Join(formats, ", ")) || c.PreRunE == nil:
			t.Errorf("%s has no -o %s", name, strings.Join(formats, "|"))
		case c.ParseFlags([]string{"-o", "xml"}) != nil || c.PreRunE(c, nil) == nil:
			t.Errorf("%s takes -o xml", name)
		}
	}
	walk(rootCommand())
	for name := range plain {
		if !seen[name] {
			t.Errorf("%s is an exception, and does not exist", name)
		}
	}
	if !slices.Equal(formats, []string{"table", "wide", "json", "yaml", "name"}) {
		t.Errorf("the formats are %v", formats)
	}
}
