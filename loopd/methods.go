package loopd

// handling is what our daemon does around a method of upstream's service,
// beside what it does around each: a caller is authenticated, a request that
// is known to make upstream panic is refused, and a static address in an
// answer is shown only once it is safe to pay to.
type handling struct {
	// outlives: the method makes the embedded daemon look for deposits. It
	// starts the state machine of a deposit that it notices for the first
	// time on the context of the request; with the request's own context
	// the machine would die with the request and never be replaced. So the
	// method is given a context that ends with the embedded daemon.
	outlives bool

	// spends: the method spends deposits, those that its request names or,
	// if it names none, those that the embedded daemon chooses.
	spends bool

	// makesAddress: the method makes the static address or hands it out.
	makesAddress bool

	// stops: the method ends the process. It needs no embedded daemon.
	stops bool
}

// handlings says of every method of upstream's service what is done around it.
// A test holds that none is missing: a method of a new version of upstream must
// be thought about before it is served.
var handlings = map[string]handling{
	"AbandonSwap":                  {},
	"FetchL402Token":               {},
	"GetInfo":                      {},
	"GetL402Tokens":                {},
	"GetLiquidityParams":           {},
	"GetLoopInQuote":               {outlives: true},
	"GetLoopInTerms":               {},
	"GetLsatTokens":                {},
	"GetStaticAddressSummary":      {},
	"InstantOut":                   {},
	"InstantOutQuote":              {},
	"ListInstantOuts":              {},
	"ListReservations":             {},
	"ListStaticAddressDeposits":    {},
	"ListStaticAddressSwaps":       {},
	"ListStaticAddressWithdrawals": {},
	"ListSwaps":                    {},
	"ListUnspentDeposits":          {outlives: true},
	"LoopIn":                       {},
	"LoopOut":                      {},
	"LoopOutQuote":                 {},
	"LoopOutTerms":                 {},
	"Monitor":                      {},
	"NewStaticAddress":             {makesAddress: true},
	"Probe":                        {},
	"SetLiquidityParams":           {},
	"StaticAddressLoopIn":          {outlives: true, spends: true},
	"StaticOpenChannel":            {outlives: true, spends: true},
	"StopDaemon":                   {stops: true},
	"SuggestSwaps":                 {outlives: true},
	"SwapInfo":                     {},
	"SweepHtlc":                    {},
	"WithdrawDeposits":             {outlives: true, spends: true},
}
