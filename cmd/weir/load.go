package main

import (
	"io"

	"github.com/spf13/cobra"

	"weir/intent"
	"weir/internal/modelfiles"
)

// fileFlag adds -f to a command that reads a model.
func fileFlag(cmd *cobra.Command) *string {
	path := cmd.Flags().StringP("filename", "f", "", `the model: a YAML file, a folder of *.yaml and *.yml files, or "-" for standard input`)
	if err := cmd.MarkFlagRequired("filename"); err != nil {
		panic(err) // the flag was added in the line above
	}
	return path
}

// load reads and checks the model at path.
func load(path string, stdin io.Reader) (*intent.Model, []intent.Source, error) {
	sources, err := modelfiles.Sources(path, stdin)
	if err != nil {
		return nil, nil, err
	}
	m, err := intent.Read(sources...)
	return m, sources, err
}
