package states

// nextWithoutRun holds the next step of those reasons whose explanation resumes
// or cancels a recovery, for where there is none that waits. Not among them are
// CrashLoop, BlocksUnavailable and UnknownDefinition, which only a recovery
// meets, and BackupAwaited and PlacesUnanswered, whose wait is cancelled like
// one.
var nextWithoutRun = map[Reason]string{
	AddressConflict: "restore the other one into a data directory of its " +
		"own (loopd --loopdir), or go on with the address in place",
	BackupChanged: "wait until nobody writes the file, and try again",
	BirthdayAboveTip: "wait until lnd is synced to the chain, and try " +
		"again",
	JournalFailed: "free space in loopd's data directory or repair its " +
		"disk, and start loopd again",
	KeyNotDerivable: "point loopd at the lnd that made the backup, and " +
		"try again",
	OtherGenesis: "point loopd at the right lnd, and try again",
	PlaceUnreadable: "check the place's permissions and mount, and try " +
		"again",
	SwapsInFlight: "wait until they are done, and try again",
	TokenConflict: "restore the other one into a data directory of its " +
		"own (loopd --loopdir), or go on with the token in place",
	TokenPending: "let the swap client settle its payment, by any " +
		"question to the server: loop terms",
	WrongLnd: "point loopd back at the first lnd; loopd goes on by itself",
}

// ExplainWithoutRun is Explain for a reason for which no recovery is blocked: a
// call is refused, a file is judged, a plan meets an obstacle, or the swap
// client is down. Its next step resumes and cancels no recovery.
func ExplainWithoutRun(reason Reason) Explanation {
	explanation := Explain(reason)
	if next, ok := nextWithoutRun[reason]; ok {
		explanation.Next = next
	}

	return explanation
}
