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
	family string
	index  uint32
}

// identified is a family that tells which scripts it has.
type identified interface {
	Identity() string
}

// knownFamily derives each script once in the life of the process.
type knownFamily struct {
	chainscan.Family

	identity string
}

// remembered returns families that remember their scripts.
func remembered(families []chainscan.Family) []chainscan.Family {
	known := make([]chainscan.Family, 0, len(families))
	for _, family := range families {
		if named, ok := family.(identified); ok {
			family = &knownFamily{family, named.Identity()}
		}
		known = append(known, family)
	}

	return known
}

// Script returns the output script of the key with the given index.
func (f *knownFamily) Script(index uint32) ([]byte, error) {
	id := scriptID{f.identity, index}
	if known, ok := scripts.Load(id); ok {
		return known.([]byte), nil
	}

	pkScript, err := f.Family.Script(index)
	if err == nil {
		scripts.Store(id, pkScript)
	}

	return pkScript, err
}
