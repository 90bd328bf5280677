package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxText is the largest number of bytes of one piece of foreign text that is
// shown. Longer texts are in the output of --json.
const maxText = 4_096

// clean makes text that came from elsewhere, such as a file's name or a
// server's message, safe to show on a terminal: what does not print as a
// character of its own, escape sequences and marks of direction above all, is
// shown as a Go escape.
func clean(text string) string {
	cut := len(text) > maxText
	if cut {
		text = text[:maxText]
	}

	var out strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, text[0])

		case strconv.IsPrint(r):
			out.WriteRune(r)

		default:
			quoted := strconv.QuoteRune(r)
			out.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[size:]
	}
	if cut {
		out.WriteString("...")
	}

	return out.String()
}
