package twin

import (
	"sync"

	"github.com/looprecovery/looprecovery/chainscan"
)

// scripts keeps the scripts that were derived: tests build many worlds that are
// alike, and the derivation would be most of their work.
var scripts sync.Map

// scriptID names a script among those of all worlds.
type scriptID struct {
	// family is the family's id, and first its first script, which differs
	// between worlds that differ.
	family int32
	first  string
	index  uint32
}

// knownFamily derives each script once in the life of the process.
type knownFamily struct {
	chainscan.Family

	first string
}

// remembered returns families that remember their scripts.
func remembered(families []chainscan.Family) []chainscan.Family {
	known := make([]chainscan.Family, 0, len(families))
	for _, family := range families {
		first, _ := family.Fixed()
		pkScript, err := family.Script(first)
		if err != nil {
			known = append(known, family)

			continue
		}
		known = append(known, &knownFamily{family, string(pkScript)})
	}

	return known
}

// Script returns the output script of the key with the given index.
func (f *knownFamily) Script(index uint32) ([]byte, error) {
	id := scriptID{f.ID(), f.first, index}
	if known, ok := scripts.Load(id); ok {
		return known.([]byte), nil
	}

	pkScript, err := f.Family.Script(index)
	if err == nil {
		scripts.Store(id, pkScript)
	}

	return pkScript, err
}
