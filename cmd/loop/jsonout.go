package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// jsonOptions fix the names and the presence of all fields, so that scripts
// can rely on them. The white space of protojson is random by design and is
// replaced afterwards.
var jsonOptions = protojson.MarshalOptions{
	UseProtoNames:   true,
	EmitUnpopulated: true,
}

// jsonIndent is the indentation that upstream's `loop` uses.
const jsonIndent = "    "

// printJSON writes a message as indented JSON.
func printJSON(w io.Writer, message proto.Message) error {
	compact, err := jsonOptions.Marshal(message)
	if err != nil {
		return err
	}

	var indented bytes.Buffer
	err = json.Indent(&indented, compact, "", jsonIndent)
	if err != nil {
		return err
	}

	_, err = fmt.Fprintln(w, escapeJSON(indented.String()))

	return err
}

// printJSONLine writes a message as one line of JSON.
func printJSONLine(w io.Writer, message proto.Message) error {
	spaced, err := jsonOptions.Marshal(message)
	if err != nil {
		return err
	}

	var line bytes.Buffer
	if err := json.Compact(&line, spaced); err != nil {
		return err
	}

	_, err = fmt.Fprintln(w, escapeJSON(line.String()))

	return err
}

// escapeJSON writes the characters of a JSON document that do not print, and
// would be obeyed by a terminal, as JSON escapes. Outside of strings JSON has
// no such character but the line feed.
func escapeJSON(text string) string {
	var out bytes.Buffer
	for _, r := range text {
		switch {
		case r == '\n' || strconv.IsPrint(r):
			out.WriteRune(r)

		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)

		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}

	return out.String()
}
