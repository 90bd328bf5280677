package main

import "strings"

// class says who answers a command line.
type class uint8

const (
	// foreign: upstream's `loop`.
	foreign class = iota

	// own: one of our commands.
	own

	// rootHelp: the help of the program as a whole, ours and upstream's.
	rootHelp
)

// classify decides who answers a command line, by its first word that is not a
// global flag. Whatever it does not understand is upstream's, which then
// reports it as it always did.
func classify(args []string) class {
	command, rest, help, ok := firstCommand(args)
	switch {
	case !ok:
		return foreign

	case help, command == "":
		return rootHelp

	case isOwnCommand(command):
		return own

	case command != "help" && command != "h":
		return foreign

	case len(rest) == 0:
		return rootHelp

	case isOwnCommand(rest[0]):
		return own
	}

	return foreign
}

// isOwnCommand reports whether a word is the name of one of our commands.
func isOwnCommand(word string) bool {
	return word == recoverName || word == backupName
}

// firstCommand walks over the global flags and returns the first word after
// them and what follows it. It also returns whether help was asked for on the
// way, and whether every flag was one that we know.
func firstCommand(args []string) (command string, rest []string, help,
	ok bool) {

	for i := 1; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			if i+1 == len(args) {
				return "", nil, help, true
			}

			return args[i+1], args[i+2:], help, true

		case !strings.HasPrefix(arg, "-"):
			return arg, args[i+1:], help, arg != ""
		}

		name, value, _ := strings.Cut(strings.TrimPrefix(
			strings.TrimPrefix(arg, "-"), "-"), "=")
		switch {
		case name == "help" || name == "h":
			help = true

		case !isGlobalFlag(name):
			return "", nil, false, false

		// A flag without a value takes the next word, also if it ends
		// in "=": so do upstream's.
		case value == "" && i+1 == len(args):
			return "", nil, false, false

		case value == "":
			i++
		}
	}

	return "", nil, help, true
}
