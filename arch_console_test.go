package rollcall_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A command prints by internal/console alone, whose functions keep text of others on its
// line. Its outputs are opened in main.go.
func TestCommandsPrintThroughTheConsole(t *testing.T) {
	t.Parallel()
	var files []string
	for dir := range survey(t) {
		if strings.HasPrefix(dir, "cmd/") || dir == "internal/cli" {
			found, err := filepath.Glob(filepath.Join(dir, "*.go"))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, found...)
		}
	}
	if len(files) < 30 {
		t.Fatalf("only %d files", len(files))
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if what := printing(n); what != "" && (filepath.Base(file) != "main.go" || !strings.HasPrefix(what, "os.")) {
				t.Errorf("%s: %s: use console.Fprintf, console.Fprintln or console.Row", set.Position(n.Pos()), what)
			}
			return true
		})
	}
}

// printing returns what writes text to an output; "" if nothing does.
func printing(n ast.Node) string {
	switch n := n.(type) {
	case *ast.SelectorExpr:
		if name := selected(n); slices.Contains([]string{"os.Stdout", "os.Stderr", "fmt.Print", "fmt.Printf", "fmt.Println", "io.WriteString"}, name) {
			return name
		}
	case *ast.CallExpr:
		called, ok := n.Fun.(*ast.SelectorExpr)
		if !ok || !strings.HasPrefix(selected(called), "fmt.Fprint") {
			return ""
		}
		if _, toBuilder := n.Args[0].(*ast.UnaryExpr); toBuilder { // &b
			return ""
		}
		return selected(called)
	}
	return ""
}

// selected is "fmt.Println" of a selector of a package.
func selected(n *ast.SelectorExpr) string {
	pkg, ok := n.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return pkg.Name + "." + n.Sel.Name
}
