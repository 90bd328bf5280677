package lndview

// Mutants are the faults that tests put into a View, by name.
var Mutants = map[string]mutant{
	"trusts memory": trustsMemory, "trusts proof": trustsProof,
	"lower is reorg": lowerIsReorg, "doubts proof": doubtsProof,
	"two moments": twoMoments, "absent is gone": absentIsGone,
	"behind is less": behindIsLess, "reports twice": reportsTwice,
}

// Break puts a fault into a View.
func (v *View) Break(name string) {
	v.mutant = Mutants[name]
}
