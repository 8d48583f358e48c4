package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"weir/intent"
	"weir/internal/words"
)

func validateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate -f FILE|DIR|-",
		Short: "check a model without a bridge or a daemon; print all problems at once",
		Long: `validate reads a model as serve does, and prints all that is wrong with it. Of a model that
is right it also says what was probably not meant: rules that can never match, with the rule that
comes before them, rules that are there twice, selections that select nobody. These are warnings:
they are printed on standard error, and validate succeeds.`,
		Args: cobra.NoArgs,
	}
	path := fileFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		m, sources, err := load(*path, cmd.InOrStdin())
		if err != nil {
			return err
		}
		warnings := intent.Review(m, sources...)
		for _, w := range warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+w.Error())
		}
		text := "ok: " + words.Contents(m)
		if n := len(warnings); n > 0 {
			text += "; " + words.Count(n, "warning", "warnings")
		}
		fmt.Fprintln(cmd.OutOrStdout(), text)
		return nil
	}
	return cmd
}
