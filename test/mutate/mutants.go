package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// mutant is one fault: a replaced range of a file.
type mutant struct {
	file     string // relative to the module, with slashes
	line     int
	column   int
	from, to int    // range of bytes in the file
	text     string // replacement
	kind     string
	function string // the enclosing function, with its receiver's type; "" outside functions
	context  string // first line of the enclosing statement
	id       string // fingerprint: folder, function, context, fault; it does not depend on the position
}

// folder is the folder of the mutant's package, relative to the module.
func (m mutant) folder() string { return path.Dir(m.file) }

// apply returns the source with the fault.
func (m mutant) apply(source []byte) []byte {
	return slices.Concat(source[:m.from], []byte(m.text), source[m.to:])
}

// describe returns one line about the mutant. source is its file.
func (m mutant) describe(source []byte) string {
	before := oneLine(source[m.from:m.to])
	change := fmt.Sprintf("%s -> %s", before, m.text)
	if m.text == "" {
		change = before
	}
	place := fmt.Sprintf("%s:%d:%d %s", m.file, m.line, m.column, m.function)
	return fmt.Sprintf("%s %s: %s: %s   in: %s", m.id, place, m.kind, change, m.context)
}

// Operators and their faults.
var (
	boundaries = map[token.Token]string{token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">"}
	conditions = map[token.Token]string{token.EQL: "!=", token.NEQ: "==", token.LAND: "||", token.LOR: "&&"}
	arithmetic = map[token.Token]string{
		token.ADD: "-", token.SUB: "+", token.MUL: "/", token.QUO: "*", token.REM: "*",
		token.ADD_ASSIGN: "-=", token.SUB_ASSIGN: "+=", token.INC: "--", token.DEC: "++",
	}
)

// finder collects the mutants of a file.
type finder struct {
	file   string
	source []byte
	tokens *token.File
	seen   map[string]int // by what the fingerprint is made of
	found  []mutant
}

// mutantsOf returns all mutants of a file, in the order of their positions.
func mutantsOf(file string, source []byte) ([]mutant, error) {
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, file, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	f := &finder{file: file, source: source, tokens: files.File(tree.FileStart), seen: make(map[string]int)}
	ast.PreorderStack(tree, nil, func(n ast.Node, above []ast.Node) bool {
		return f.visit(n, above)
	})
	return f.found, nil
}

// visit adds the mutants of a node and reports whether to go on with the nodes below it.
func (f *finder) visit(n ast.Node, above []ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok != token.IMPORT
	case *ast.Field: // of a struct or of parameters: tags and the lengths of arrays
		return false
	case *ast.IfStmt:
		f.negate(n.Cond, append(above, n))
	case *ast.CaseClause:
		if choice, ok := above[len(above)-2].(*ast.SwitchStmt); ok && choice.Tag == nil {
			for _, condition := range n.List {
				f.negate(condition, append(above, n))
			}
		}
	case *ast.BinaryExpr:
		f.operator(n, above)
	case *ast.CallExpr:
		return !isCall(n, "Grow") // its argument changes no behaviour
	case *ast.BasicLit:
		if n.Kind == token.INT && !isHint(n, above) {
			f.integer(n, above)
		}
	case *ast.Ident:
		switch n.Name {
		case "true":
			f.add(n, "false", "boolean", above)
		case "false":
			f.add(n, "true", "boolean", above)
		}
	case *ast.ReturnStmt:
		f.returned(n, above)
	case *ast.AssignStmt:
		if replacement := arithmetic[n.Tok]; replacement != "" {
			f.addRange(n.TokPos, n.TokPos+token.Pos(len(n.Tok.String())), replacement, "arithmetic", append(above, n))
		}
	case *ast.IncDecStmt:
		if inBlock(n, above) { // in the head of a loop it would never end
			f.addRange(n.TokPos, n.TokPos+2, arithmetic[n.Tok], "arithmetic", append(above, n))
		}
	}
	f.remove(n, above)
	return true
}

// negate adds the negation of a condition, unless another mutant of its operator is the same.
func (f *finder) negate(condition ast.Expr, above []ast.Node) {
	if binary, ok := condition.(*ast.BinaryExpr); ok && (binary.Op == token.EQL || binary.Op == token.NEQ) {
		return
	}
	f.add(condition, "!("+string(f.text(condition))+")", "condition", above)
}

func (f *finder) operator(n *ast.BinaryExpr, above []ast.Node) {
	end := n.OpPos + token.Pos(len(n.Op.String()))
	if replacement := boundaries[n.Op]; replacement != "" {
		f.addRange(n.OpPos, end, replacement, "boundary", above)
	}
	if replacement := conditions[n.Op]; replacement != "" {
		f.addRange(n.OpPos, end, replacement, "condition", above)
	}
	if replacement := arithmetic[n.Op]; replacement != "" && !isText(n) {
		f.addRange(n.OpPos, end, replacement, "arithmetic", above)
	}
}

// isText reports whether an operand is a string literal.
func isText(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind == token.STRING
	case *ast.BinaryExpr:
		return isText(e.X) || isText(e.Y)
	}
	return false
}

// isHint reports whether a literal is part of a capacity in a call of make, which changes no behaviour.
func isHint(n ast.Node, above []ast.Node) bool {
	for _, node := range slices.Backward(above) {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			continue
		}
		if !isCall(call, "make") {
			return false
		}
		hint := 2 // index of the argument
		if _, isMap := call.Args[0].(*ast.MapType); isMap {
			hint = 1
		}
		return len(call.Args) > hint && call.Args[hint].Pos() <= n.Pos()
	}
	return false
}

func isCall(call *ast.CallExpr, name string) bool {
	switch function := call.Fun.(type) {
	case *ast.Ident:
		return function.Name == name
	case *ast.SelectorExpr:
		return function.Sel.Name == name
	}
	return false
}

// integer adds the neighbours of a constant.
func (f *finder) integer(n *ast.BasicLit, above []ast.Node) {
	value, err := strconv.ParseInt(n.Value, 0, 64)
	if err != nil || len(n.Value) > 1 && n.Value[0] == '0' { // file modes and bit patterns
		return
	}
	f.add(n, strconv.FormatInt(value+1, 10), "constant", above)
	if value > 0 {
		f.add(n, strconv.FormatInt(value-1, 10), "constant", above)
	}
}

// returned adds the return of a nil error instead of the error.
func (f *finder) returned(n *ast.ReturnStmt, above []ast.Node) {
	var results *ast.FieldList
	for _, node := range slices.Backward(above) {
		if literal, ok := node.(*ast.FuncLit); ok {
			results = literal.Type.Results
			break
		}
		if declaration, ok := node.(*ast.FuncDecl); ok {
			results = declaration.Type.Results
			break
		}
	}
	if results == nil || len(n.Results) != results.NumFields() {
		return
	}
	kind, ok := results.List[len(results.List)-1].Type.(*ast.Ident)
	last := n.Results[len(n.Results)-1]
	if ok && kind.Name == "error" && string(f.text(last)) != "nil" {
		f.add(last, "nil", "error", append(above, n))
	}
}

// remove adds the removal of a statement that is in a block.
func (f *finder) remove(n ast.Node, above []ast.Node) {
	if !inBlock(n, above) {
		return
	}
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE {
			return
		}
	case *ast.BranchStmt:
		if n.Tok == token.FALLTHROUGH || n.Tok == token.GOTO {
			return
		}
	case *ast.ExprStmt, *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt:
	default:
		return
	}
	f.add(n, "", "removed", append(above, n))
}

// inBlock reports whether a node is a statement of a block or of a clause's body.
func inBlock(n ast.Node, above []ast.Node) bool {
	if len(above) == 0 {
		return false
	}
	var body []ast.Stmt
	switch parent := above[len(above)-1].(type) {
	case *ast.BlockStmt:
		body = parent.List
	case *ast.CaseClause:
		body = parent.Body
	case *ast.CommClause:
		body = parent.Body
	}
	statement, ok := n.(ast.Stmt)
	return ok && slices.Contains(body, statement)
}

func (f *finder) text(n ast.Node) []byte {
	return f.source[f.tokens.Offset(n.Pos()):f.tokens.Offset(n.End())]
}

func (f *finder) add(n ast.Node, text, kind string, above []ast.Node) {
	f.addRange(n.Pos(), n.End(), text, kind, above)
}

func (f *finder) addRange(from, to token.Pos, text, kind string, above []ast.Node) {
	at := f.tokens.Position(from)
	m := mutant{
		file: f.file, line: at.Line, column: at.Column, from: at.Offset, to: f.tokens.Offset(to), text: text, kind: kind,
	}
	for _, node := range above {
		switch node := node.(type) {
		case *ast.FuncDecl:
			m.function = node.Name.Name
			if node.Recv != nil {
				m.function = strings.TrimPrefix(string(f.text(node.Recv.List[0].Type)), "*") + "." + m.function
			}
		case *ast.BlockStmt:
		case ast.Stmt, ast.Spec:
			first, _, _ := bytes.Cut(f.text(node), []byte("\n"))
			m.context = oneLine(first)
		}
	}
	parts := strings.Join([]string{m.folder(), m.function, m.context, string(f.source[m.from:m.to]), text}, "\x00")
	f.seen[parts]++ // equal faults of equal statements are told apart by their order
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", parts, f.seen[parts]))
	m.id = hex.EncodeToString(sum[:5])
	f.found = append(f.found, m)
}

// oneLine returns the text with every space and newline as one space.
func oneLine(text []byte) string { return strings.Join(strings.Fields(string(text)), " ") }
