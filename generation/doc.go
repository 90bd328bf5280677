// Package generation is about the two things of a generation that live on this
// machine: the L402 token file and the address row. It parses the token file
// without trusting a length in it, probes what is in place, places a token
// without ever replacing one, and moves aside what does not parse.
package generation
