package main

import (
	"io"
	"strconv"
	"sync"
	"unicode/utf8"
)

// terminal writes text to a terminal. It writes control characters, other unprintable characters and invalid UTF-8 as
// Go escapes, such as \x1b, so that text from clients and functions cannot control the terminal. Line feeds and tabs
// are kept. It is safe for concurrent use.
type terminal struct {
	out io.Writer

	mu   sync.Mutex
	tail []byte // the begin of a character whose rest comes with the next Write
}

func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := append(t.tail, p...)
	escaped := make([]byte, 0, len(text))
	for len(text) > 0 && utf8.FullRune(text) {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			const hex = "0123456789abcdef"
			escaped = append(escaped, '\\', 'x', hex[text[0]>>4], hex[text[0]&15])
		case r == '\n' || r == '\t' || strconv.IsPrint(r):
			escaped = utf8.AppendRune(escaped, r)
		default:
			quoted := strconv.QuoteRune(r)
			escaped = append(escaped, quoted[1:len(quoted)-1]...)
		}
		text = text[size:]
	}
	t.tail = append([]byte(nil), text...)
	if _, err := t.out.Write(escaped); err != nil {
		return 0, err
	}
	return len(p), nil
}
