// Package deps holds the test that keeps imports pointing one way.
package deps

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "weir/"

// A room is what a package may import of ours, and whether it is pure: computes, and
// never touches the world.
type room struct {
	pure bool
	may  []string
}

// rooms has every package. One that is not here fails the test: its place in the house
// has to be chosen.
var rooms = map[string]room{
	"ofproto":        {pure: true},
	"ofproto/ofconn": {may: []string{"ofproto"}},
	"ofproto/oftest": {may: []string{"ofproto"}},
	"intent":         {pure: true, may: []string{"internal/words"}},
	"apps/pipeline":  {pure: true, may: []string{"intent", "ofproto", "internal/frame", "internal/depth"}},
	"apps/fabric":    {pure: true, may: []string{"intent", "ofproto", "apps/pipeline", "internal/frame"}},
	"apps/firewall":  {pure: true, may: []string{"intent", "ofproto", "apps/pipeline"}},
	"apps/nat":       {pure: true, may: []string{"intent", "ofproto", "apps/pipeline", "internal/frame"}},
	"apps/lb":        {pure: true, may: []string{"intent", "ofproto", "apps/pipeline", "internal/maglev", "internal/frame"}},
	"apps":           {pure: true, may: []string{"ofproto", "apps/pipeline", "apps/fabric", "apps/firewall", "apps/nat", "apps/lb"}},
	"drain":          {may: []string{"intent", "apps/pipeline"}},
	"controller":     {may: []string{"intent", "ofproto", "apps/pipeline", "drain", "health", "balance"}},
	"ovsdb":          {may: []string{"internal/unixctl"}},
	"conntrack":      {may: []string{"internal/unixctl", "quirk"}},
	"explain":        {pure: true, may: []string{"intent", "ofproto", "apps/pipeline", "internal/flowsim", "internal/frame"}},
	"quirk":          {pure: true},
	"balance":        {},
	"health":         {may: []string{"intent"}},
	"store":          {may: []string{"intent"}},
	"api":            {may: []string{"intent"}},
	"daemon": {may: []string{"intent", "internal/modelfiles", "store", "api", "metrics", "apps", "apps/pipeline", "apps/lb", "apps/nat", "controller", "drain", "explain", "quirk",
		"ofproto", "ofproto/ofconn", "ovsdb", "conntrack", "internal/unixctl", "internal/words"}},
	"metrics":                      {may: []string{"api", "controller", "intent", "apps/pipeline", "ofproto"}},
	"internal/unixctl":             {},
	"internal/sandbox":             {},
	"internal/sandbox/sandboxtest": {may: []string{"internal/sandbox", "internal/unixctl"}},
	"internal/deps":                {},
	"internal/pki":                 {},
	"examples":                     {},
	"internal/sidebyside":          {},
	"internal/reference":           {pure: true, may: []string{"intent"}},
	"internal/flowsim":             {pure: true, may: []string{"ofproto"}},
	"internal/frame":               {pure: true},
	"internal/depth":               {pure: true, may: []string{"ofproto"}},
	"internal/maglev":              {pure: true},
	"internal/top":                 {may: []string{"api", "internal/columns"}},
	"internal/columns":             {pure: true},
	"internal/manual":              {},
	"internal/words":               {pure: true, may: []string{"intent"}},
	"internal/modelfiles":          {may: []string{"intent"}},
	"internal/drawn":               {},
	"test/ovstest":                 {may: []string{"*"}},
	"test/bench":                   {may: []string{"*"}},
	"test/scenarios":               {},
	"test/containers":              {may: []string{"*"}},
	"test":                         {may: []string{"*"}},
	"cmd/weir":                     {may: []string{"*"}},
}

// world is what pure packages do without. net/netip is fine: addresses are values.
var world = []string{"net", "os", "time", "sync", "sync/atomic", "context", "log", "log/slog", "math/rand", "math/rand/v2", "github.com/sirupsen/logrus"}

func TestImportsPointOneWay(t *testing.T) {
	for pkg, imports := range importsOf(t, "../..") {
		r, ok := rooms[pkg]
		if !ok {
			t.Errorf("package %s has no place in the table: say what it may import", pkg)
			continue
		}
		for _, imp := range imports {
			dep, ours := strings.CutPrefix(imp, module)
			if ours && !slices.Contains(r.may, "*") && !slices.Contains(r.may, dep) {
				t.Errorf("%s imports %s; of ours it may import %v", pkg, dep, r.may)
			}
			if r.pure && slices.Contains(world, imp) {
				t.Errorf("%s imports %s; it must stay pure", pkg, imp)
			}
		}
	}
}

// importsOf reads the files itself: a test that asked go list would be cached, and pass
// when stale. Test files may import what they need.
func importsOf(t *testing.T, root string) map[string][]string {
	all := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		pkg, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		if all[pkg] == nil {
			all[pkg] = []string{}
		}
		if strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			all[pkg] = append(all[pkg], p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages were found", len(all))
	}
	return all
}
