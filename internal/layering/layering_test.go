// SPDX-License-Identifier: MIT

package layering

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "shim6/"
)

// A source is one Go file that is not a test.
type source struct {
	name string
	file *ast.File
	set  *token.FileSet
}

// sources reads every package of the module, by its path below the root. Files of other platforms count too.
func sources(t *testing.T) map[string][]source {
	t.Helper()
	packages := make(map[string][]source)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			if name != root && (strings.HasPrefix(base, ".") || base == "testdata" || base == "build" || base == "out") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		packages[filepath.ToSlash(dir)] = append(packages[filepath.ToSlash(dir)], source{base, f, set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 15 {
		t.Fatalf("only %d packages were found in %s", len(packages), root)
	}
	return packages
}

// fits tells whether a name of the table stands for a package.
func fits(pattern, pkg string) bool {
	tree, ok := strings.CutSuffix(pattern, "/...")
	return pkg == pattern || ok && (pkg == tree || strings.HasPrefix(pkg, tree+"/"))
}

func rowOf(pkg string) *row {
	for i := range table {
		if fits(table[i].pkg, pkg) {
			return &table[i]
		}
	}
	return nil
}

// violations tells what a file does that its row forbids.
func violations(r *row, s source) []string {
	var all []string
	names := make(map[string]string) // of imports, as the file calls them
	for _, spec := range s.file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			all = append(all, err.Error())
			continue
		}
		name := path.Base(p)
		if name == "v2" {
			name = path.Base(path.Dir(p))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = p
		if why := forbidden(r, p); why != "" {
			all = append(all, fmt.Sprintf("imports %s: %s", p, why))
		}
		if r.pure && name == "." {
			all = append(all, fmt.Sprintf("imports the names of %s: what it uses cannot be told", p))
		}
	}
	if r.pure {
		all = append(all, impure(s, names)...)
	}
	return all
}

func forbidden(r *row, p string) string {
	own, isOwn := strings.CutPrefix(p, module)
	first, _, _ := strings.Cut(p, "/")
	switch {
	case isOwn && !slices.ContainsFunc(r.may, func(m string) bool { return fits(m, own) }):
		return r.why
	case isOwn || !r.pure:
		return ""
	case strings.Contains(first, "."):
		return "a pure package uses the standard library alone"
	}
	return effects[p]
}

// impure finds uses of clocks and of randomness that is not the caller's.
func impure(s source, names map[string]string) []string {
	var all []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		if g, ok := n.(*ast.GoStmt); ok {
			all = append(all, fmt.Sprintf("starts a goroutine on line %d", s.set.Position(g.Pos()).Line))
		}
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		// An identifier that the file declares is a variable and no package.
		id, ok := sel.X.(*ast.Ident)
		if !ok || id.Obj != nil {
			return true
		}
		p, use := names[id.Name], sel.Sel.Name
		line := s.set.Position(sel.Pos()).Line
		switch {
		case p == "time" && clocks[use]:
			all = append(all, fmt.Sprintf("uses time.%s on line %d: time comes with the event", use, line))
		case (p == "math/rand" || p == "math/rand/v2") && !makers[use]:
			all = append(all, fmt.Sprintf("uses rand.%s on line %d: randomness comes from the caller's seed", use, line))
		}
		return true
	})
	return all
}

func TestLayers(t *testing.T) {
	packages := sources(t)
	for _, pkg := range slices.Sorted(maps.Keys(packages)) {
		r := rowOf(pkg)
		if r == nil {
			t.Errorf("%s has no row in the table", pkg)
			continue
		}
		for _, s := range packages[pkg] {
			for _, v := range violations(r, s) {
				t.Errorf("%s/%s %s", pkg, s.name, v)
			}
		}
	}
}

// A row for what is not there guards nothing.
func TestNamedPackagesExist(t *testing.T) {
	packages := sources(t)
	exists := func(pattern string) bool {
		for pkg := range packages {
			if fits(pattern, pkg) {
				return true
			}
		}
		return false
	}
	for _, r := range table {
		for _, name := range append([]string{r.pkg}, r.may...) {
			if !exists(name) {
				t.Errorf("%s in the row of %s does not exist", name, r.pkg)
			}
		}
		if r.why == "" {
			t.Errorf("the row of %s gives no reason", r.pkg)
		}
	}
}

// The purity of an engine rests on this test, so that it must find what it looks for.
func TestViolationsAreFound(t *testing.T) {
	r := &row{pkg: "x", may: []string{"daemon/wire", "internal/..."}, pure: true, why: "reason"}
	for name, tc := range map[string]struct {
		src  string
		want string
	}{
		"nothing":           {`import "time"; func f(t time.Time) time.Time { return t.Add(time.Second) }`, ""},
		"allowed":           {`import (_ "shim6/daemon/wire"; _ "shim6/internal/a/b")`, ""},
		"own package":       {`import _ "shim6/daemon/nl"`, "imports shim6/daemon/nl: reason"},
		"similar name":      {`import _ "shim6/daemon/wire2"`, "imports shim6/daemon/wire2: reason"},
		"other module":      {`import _ "golang.org/x/sys/unix"`, "imports golang.org/x/sys/unix: a pure package uses the standard library alone"},
		"os":                {`import "os"; var _ = os.Args`, "imports os: files, processes and the environment"},
		"net":               {`import _ "net"`, "imports net: sockets and names; net/netip has the addresses"},
		"netip":             {`import _ "net/netip"`, ""},
		"slog":              {`import _ "log/slog"`, "imports log/slog: output"},
		"clock":             {`import "time"; var _ = time.Now()`, "uses time.Now on line 3: time comes with the event"},
		"clock as a value":  {`import "time"; var now = time.Now`, "uses time.Now on line 3: time comes with the event"},
		"renamed clock":     {`import t "time"; var _ = t.Since`, "uses time.Since on line 3: time comes with the event"},
		"method After":      {`import "time"; func f(a, b time.Time) bool { return a.After(b) }`, ""},
		"variable time":     {`type x struct{ Now int }; func f(time x) int { return time.Now }`, ""},
		"dot import":        {`import . "time"; var _ = Now()`, "imports the names of time: what it uses cannot be told"},
		"global randomness": {`import "math/rand/v2"; var _ = rand.IntN(3)`, "uses rand.IntN on line 3: randomness comes from the caller's seed"},
		"old randomness":    {`import "math/rand"; var _ = rand.Intn(3)`, "uses rand.Intn on line 3: randomness comes from the caller's seed"},
		"own randomness":    {`import "math/rand/v2"; func f(r *rand.Rand) int { return rand.New(rand.NewPCG(1, 2)).IntN(r.IntN(3)) }`, ""},
		"goroutine":         {`func f() { go f() }`, "starts a goroutine on line 3"},
	} {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, "x.go", "package x\n\n"+tc.src, 0)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := strings.Join(violations(r, source{"x.go", f, set}), "; "); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// A heuristic is written against one header, like one of somebody else.
func TestHeuristicsUseOneHeader(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "heuristics", "*.c"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no heuristics were found: %v", err)
	}
	include := regexp.MustCompile(`(?m)^\s*#\s*include\s+"([^"]+)"`)
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range include.FindAllStringSubmatch(string(b), -1) {
			if m[1] != "heuristic.h" {
				t.Errorf("%s includes %s: a heuristic sees heuristic.h alone", filepath.Base(name), m[1])
			}
		}
	}
}
