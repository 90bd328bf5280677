package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"unicode/utf8"
)

// The errors of this file. What encoding/json says can quote the contents.
var (
	errNoObject = errors.New("the contents are no object of JSON")
	errRepeated = errors.New("a field is repeated")
	errStrange  = errors.New("unknown or non-canonical fields")
)

// decodeObject parses an object of JSON and returns its fields as they are
// written. No object in it may have a name twice: readers differ in which of
// the two they take.
func decodeObject(data []byte) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	err := json.Unmarshal(data, &fields)
	if err != nil || fields == nil || !utf8.Valid(data) {
		return nil, errNoObject
	}

	return fields, checkNames(json.NewDecoder(bytes.NewReader(data)))
}

// checkNames reads one value and refuses a name that an object in it has twice.
func checkNames(decoder *json.Decoder) error {
	token, err := decoder.Token()
	if err != nil {
		return errNoObject
	}
	delimiter, ok := token.(json.Delim)
	if !ok {
		return nil
	}

	names := make(map[string]bool)
	for decoder.More() {
		if delimiter == '{' {
			token, err := decoder.Token()
			name, ok := token.(string)
			switch {
			case err != nil || !ok:
				return errNoObject

			case names[name]:
				return errRepeated
			}
			names[name] = true
		}
		if err := checkNames(decoder); err != nil {
			return err
		}
	}

	// The end of the object or list.
	_, err = decoder.Token()

	return err
}

// decodeStrictly parses JSON and refuses whatever would not be the same if it
// were encoded again: unknown and missing fields, names in another case,
// non-canonical base64 and numbers. That no name is repeated is known.
func decodeStrictly(data []byte, into *legacyContent) error {
	if err := json.Unmarshal(data, into); err != nil {
		return errStrange
	}
	again, err := json.Marshal(into)
	if err != nil {
		return errStrange
	}

	is, err := decodeValues(data)
	if err != nil {
		return err
	}
	want, err := decodeValues(again)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(is, want) {
		return errStrange
	}

	return nil
}

// decodeValues parses JSON. Numbers are as they are written.
func decodeValues(data []byte) (values any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	err = decoder.Decode(&values)

	return values, err
}
