package dynamodb

import "strings"

// tokenKind is the kind of a token in an expression.
type tokenKind int

const (
	tokenEnd         tokenKind = iota
	tokenWord                  // an attribute's name, a function or a keyword
	tokenName                  // #placeholder of a name
	tokenValue                 // :placeholder of a value
	tokenNumber                // the index of a list's element
	tokenPunctuation           // an operator, a bracket, a comma, a dot
)

type token struct {
	kind       tokenKind
	text       string
	start, end int // offsets in the expression
}

// is reports whether the token is this punctuation, or this keyword in any case.
func (t token) is(text string) bool {
	switch t.kind {
	case tokenPunctuation:
		return t.text == text
	case tokenWord:
		return strings.EqualFold(t.text, text)
	}
	return false
}

const punctuation = "= < > ( ) [ ] , . + -"

// tokenize splits an expression into tokens. The last token is tokenEnd.
func tokenize(expression string) ([]token, *failure) {
	var tokens []token
	for at := 0; at < len(expression); {
		c := expression[at]
		if strings.IndexByte(" \t\r\n", c) >= 0 {
			at++
			continue
		}
		t := token{start: at}
		switch {
		case c == '#' || c == ':':
			t.kind, t.end = tokenName, endOfWord(expression, at+1)
			if c == ':' {
				t.kind = tokenValue
			}
			if t.end == at+1 {
				t.kind = tokenPunctuation // a placeholder without a name is valid nowhere
			}
		case '0' <= c && c <= '9':
			digits, _ := splitDigits(expression[at:])
			t.kind, t.end = tokenNumber, at+len(digits)
		case isWordByte(c) && c != '_':
			t.kind, t.end = tokenWord, endOfWord(expression, at)
		default:
			t.kind, t.end = tokenPunctuation, at+1
			if pair := expression[at:min(at+2, len(expression))]; pair == "<>" || pair == "<=" || pair == ">=" {
				t.end = at + 2
			} else if !strings.Contains(punctuation, string(c)) {
				return nil, validationError("Syntax error; token: \"%s\", near: \"%s\"", expression[at:at+1],
					expression[at:min(at+2, len(expression))])
			}
		}
		t.text = expression[t.start:t.end]
		tokens = append(tokens, t)
		at = t.end
	}
	return append(tokens, token{kind: tokenEnd, text: "<EOF>", start: len(expression), end: len(expression)}), nil
}

func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

func endOfWord(expression string, at int) int {
	for at < len(expression) && isWordByte(expression[at]) {
		at++
	}
	return at
}
