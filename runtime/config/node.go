package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// nodeKind is what a YAML value is, as far as our files go.
type nodeKind uint8

const (
	kindNull nodeKind = iota
	kindScalar
	kindMapping
	kindSequence
)

// node is one value of a YAML file with its place. It holds only what our files
// use: no anchors, aliases, tags or merge keys.
type node struct {
	kind    nodeKind
	text    string // scalar, decoded
	quoted  bool   // scalar in quotes or a block scalar
	split   bool   // unquoted, and YAML split it at a comma: text is the whole
	bad     bool   // already reported: do not look at it again
	line    int    // 1-based
	column  int    // 1-based, in characters
	entries []entry
	items   []*node
}

// entry is one key of a mapping, in the order of the file.
type entry struct {
	key   *node
	value *node
}

// maxBytes bounds a configuration file; a manual of 200 rules has about 40 KiB.
const maxBytes = 512 << 10

// parse reads a YAML file into nodes. What is wrong with it as YAML goes to r.
// The result is nil when nothing of it can be used.
func (r *reader) parse(data []byte) *node {
	if len(data) > maxBytes {
		r.fault(nil, fmt.Sprintf("file has %d bytes", len(data)), fmt.Sprintf("at most %d are read", maxBytes))
		return nil
	}
	if !utf8.Valid(data) {
		line, column := invalidUTF8(data)
		r.at(line, column, "file is not UTF-8 text", "save it as UTF-8")
		return nil
	}
	data = r.prescan(data)
	if data == nil {
		return nil
	}
	r.lines = strings.Split(string(data), "\n")
	file, err := parseYAML(data)
	if err != nil {
		r.syntax(err)
		return nil
	}
	return r.document(file)
}

// parseYAML keeps a panic of the parser from ending the process: manuals come
// over the network.
func parseYAML(data []byte) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			file, err = nil, errors.New("the YAML parser gave up")
		}
	}()
	return parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
}

func invalidUTF8(data []byte) (line, column int) {
	line, column = 1, 1
	for len(data) > 0 {
		c, size := utf8.DecodeRune(data)
		if c == utf8.RuneError && size == 1 {
			break
		}
		if c == '\n' {
			line, column = line+1, 0
		}
		column++
		data = data[size:]
	}
	return line, column
}

// document takes the one document of a file.
func (r *reader) document(file *ast.File) *node {
	var body ast.Node
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if body != nil {
			p := position(d.Body)
			r.at(p.line, p.column, "second document in one file", "keep one document: remove the --- line and what follows it")
			break
		}
		body = d.Body
	}
	if body == nil {
		return &node{kind: kindMapping, line: 1, column: 1}
	}
	return r.convert(body)
}

// position is where a value starts: goccy gives the colon for a block mapping.
func position(n ast.Node) *node {
	switch v := n.(type) {
	case *ast.MappingNode:
		if !v.IsFlowStyle && len(v.Values) > 0 {
			return position(v.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return position(v.Key)
	}
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return &node{line: 1, column: 1}
	}
	return &node{line: t.Position.Line, column: t.Position.Column}
}

// convert copies an AST into nodes and refuses what our files do not use.
func (r *reader) convert(n ast.Node) *node {
	out := position(n)
	switch v := n.(type) {
	case *ast.MappingNode:
		out.kind = kindMapping
		r.entries(out, v.Values)
		if v.IsFlowStyle {
			rejoin(out)
		}
	case *ast.MappingValueNode:
		out.kind = kindMapping
		r.entries(out, []*ast.MappingValueNode{v})
	case *ast.SequenceNode:
		out.kind = kindSequence
		for _, item := range v.Values {
			out.items = append(out.items, r.convert(item))
		}
	case *ast.LiteralNode:
		out.kind, out.quoted = kindScalar, true
		if v.Value != nil {
			out.text = v.Value.Value
		}
	case *ast.NullNode:
		out.kind = kindNull
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode, *ast.MappingKeyNode, *ast.DirectiveNode:
		out.bad = true
		r.fault(out, "anchors, aliases, tags and merge keys are not used here", "write the value out; text that starts with & * or ! goes in quotes")
	default:
		r.scalar(out, n)
	}
	return out
}

func (r *reader) scalar(out *node, n ast.Node) {
	t := n.GetToken()
	if t == nil {
		out.kind = kindNull
		return
	}
	out.kind, out.text = kindScalar, t.Value
	out.quoted = t.Type == token.DoubleQuoteType || t.Type == token.SingleQuoteType
	out.bad = r.blanked[place{out.line, out.column}]
}

func (r *reader) entries(out *node, values []*ast.MappingValueNode) {
	for _, v := range values {
		if v == nil || v.Key == nil || v.Value == nil {
			continue
		}
		key := r.convert(v.Key)
		if key.kind != kindScalar {
			if !key.bad {
				r.fault(key, "key is not a word", "write name: value")
			}
			continue
		}
		out.entries = append(out.entries, entry{key, r.convert(v.Value)})
	}
}

// rejoin undoes what YAML does to an unquoted expression with a comma in a flow
// mapping: {when: held(x, 300ms), set: ...} has the keys when, "300ms)" and set.
func rejoin(n *node) {
	var kept []entry
	for i := 0; i < len(n.entries); i++ {
		e := n.entries[i]
		if j, whole, ok := joined(n.entries[i:]); ok {
			e.value = &node{kind: kindScalar, split: true, text: whole, line: e.value.line, column: e.value.column}
			i += j
		}
		kept = append(kept, e)
	}
	n.entries = kept
}

// joined looks for the entries that close the parentheses which the value of
// the first one opens, and counts those after the first.
func joined(es []entry) (count int, whole string, ok bool) {
	first := es[0].value
	if first.kind != kindScalar || first.quoted || open(first.text) <= 0 {
		return 0, "", false
	}
	whole = first.text
	for i, e := range es[1:] {
		if e.key.quoted || e.value.quoted || (e.value.kind != kindNull && e.value.kind != kindScalar) {
			return 0, "", false
		}
		whole += ", " + e.key.text
		if e.value.kind == kindScalar {
			whole += ": " + e.value.text
		}
		if open(whole) == 0 {
			return i + 1, whole, true
		}
	}
	return 0, "", false
}

func open(s string) int { return strings.Count(s, "(") - strings.Count(s, ")") }

// syntax reports what the YAML parser could not read.
func (r *reader) syntax(err error) {
	var y yaml.Error
	if !errors.As(err, &y) || y.GetToken() == nil || y.GetToken().Position == nil {
		r.fault(nil, "file is not YAML: "+firstLine(err.Error()), "dancer schema says what the file may hold")
		return
	}
	p := y.GetToken().Position
	what, hint := "not YAML: "+firstLine(y.GetMessage()), "check the indentation, the brackets and the quotes of this line and the one above"
	if key, value, column, ok := r.unquoted(p.Line); ok {
		r.at(p.Line, column, "expression is not quoted, so YAML cannot read it: "+value, fmt.Sprintf("write %s: %q", key, value))
		return
	}
	if strings.Contains(what, "\t") || strings.Contains(what, "'\t'") {
		hint = "indent with spaces, not with tabs"
		what = "not YAML: a tab stands where the indentation is"
	}
	r.at(p.Line, p.Column, what, hint)
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
