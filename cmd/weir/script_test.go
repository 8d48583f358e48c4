package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"weir": main})
}

// TestScript runs the verbs as a user does: see testdata/script.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Condition: func(cond string) (bool, error) {
			if cond != "traffic" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			if os.Getenv("WEIR_INTEGRATION") == "" {
				t.Log("SKIPPED: traffic, unless WEIR_INTEGRATION is set")
			}
			return os.Getenv("WEIR_INTEGRATION") != "", nil
		},
		Setup: func(e *testscript.Env) error {
			wd, err := os.Getwd()
			e.Setenv("EXAMPLES", wd+"/../../examples")
			return err
		},
	})
}
