package states

import (
	"fmt"
	"strings"
)

// Reason is the machine-readable code of why a run or a call cannot go on. It
// is stored in the journal and sent as the reason of a google.rpc.ErrorInfo.
type Reason string

// The closed list of reasons. Keep Explain complete: a test walks the list.
const (
	// NoBackupFound means that no valid backup of this network opens with
	// this seed in any of the backup places.
	NoBackupFound Reason = "NO_BACKUP_FOUND"

	// PlaceUnreadable means that a backup place cannot be listed.
	PlaceUnreadable Reason = "PLACE_UNREADABLE"

	// BackupConflict means that two valid files claim one token with
	// different contents.
	BackupConflict Reason = "BACKUP_CONFLICT"

	// NotABackup means that the file is of another kind.
	NotABackup Reason = "NOT_A_BACKUP"

	// BackupCorrupt means that the file was damaged.
	BackupCorrupt Reason = "BACKUP_CORRUPT"

	// OtherSeed means that the file was made with another lnd seed.
	OtherSeed Reason = "OTHER_SEED"

	// OtherNetwork means that the file belongs to another network.
	OtherNetwork Reason = "OTHER_NETWORK"

	// NewerVersion means that the file's format is newer than this binary.
	NewerVersion Reason = "NEWER_VERSION"

	// BackupIncomplete means that the contents do not suffice to restore.
	BackupIncomplete Reason = "BACKUP_INCOMPLETE"

	// NameMismatch means that file name and contents disagree.
	NameMismatch Reason = "NAME_MISMATCH"

	// DoesNotOpen means that a file of the older format is either damaged
	// or of another seed: that format cannot tell.
	DoesNotOpen Reason = "DOES_NOT_OPEN"

	// BackupChanged means that the file is no longer the one that was
	// located.
	BackupChanged Reason = "BACKUP_CHANGED"

	// OtherGenesis means that lnd follows another chain.
	OtherGenesis Reason = "OTHER_GENESIS"

	// KeyNotDerivable means that this lnd does not derive the client key.
	KeyNotDerivable Reason = "KEY_NOT_DERIVABLE"

	// BirthdayAboveTip means that the backup is from after the chain's
	// tip.
	BirthdayAboveTip Reason = "BIRTHDAY_ABOVE_TIP"

	// TokenConflict means that a different paid token is in place.
	TokenConflict Reason = "TOKEN_CONFLICT"

	// TokenPending means that an unpaid token is in place.
	TokenPending Reason = "TOKEN_PENDING"

	// AddressConflict means that a different address row is in place.
	AddressConflict Reason = "ADDRESS_CONFLICT"

	// NothingToRescan means that there is no complete generation here.
	NothingToRescan Reason = "NOTHING_TO_RESCAN"

	// NothingToBackUp means that there is no complete generation here.
	NothingToBackUp Reason = "NOTHING_TO_BACK_UP"

	// BlocksUnavailable means that the node does not have a block.
	BlocksUnavailable Reason = "BLOCKS_UNAVAILABLE"

	// SwapsInFlight means that swaps or withdrawals are under way.
	SwapsInFlight Reason = "SWAPS_IN_FLIGHT"

	// CrashLoop means that the process died too often in one state.
	CrashLoop Reason = "CRASH_LOOP"

	// UnknownDefinition means that the run's table is of a version that
	// this binary does not know.
	UnknownDefinition Reason = "UNKNOWN_DEFINITION"

	// LndLocked means that lnd's wallet was not unlocked yet.
	LndLocked Reason = "LND_LOCKED"

	// LndDown means that lnd cannot be reached.
	LndDown Reason = "LND_DOWN"

	// Starting means that the daemon is still coming up.
	Starting Reason = "STARTING"

	// RecoveryActive means that a recovery holds back the embedded daemon.
	RecoveryActive Reason = "RECOVERY_ACTIVE"

	// AlreadyRunning means that another run is not finished yet.
	AlreadyRunning Reason = "ALREADY_RUNNING"

	// Superseded means that the run, which had blocked before it changed
	// anything, was ended by the next one.
	Superseded Reason = "SUPERSEDED"

	// NotBlocked means that the run is not waiting to be resumed.
	NotBlocked Reason = "NOT_BLOCKED"

	// AlreadyFinished means that the run has ended.
	AlreadyFinished Reason = "ALREADY_FINISHED"

	// JournalFailed means that a step of the run could not be saved.
	JournalFailed Reason = "JOURNAL_FAILED"

	// NoSuchRun means that no run has the given id.
	NoSuchRun Reason = "NO_SUCH_RUN"

	// BadRequest means that the request contradicts itself.
	BadRequest Reason = "BAD_REQUEST"

	// DepositUnverified means that a call would spend a deposit that is
	// reported provisionally.
	DepositUnverified Reason = "DEPOSIT_UNVERIFIED"

	// NotProtected means that the backup of a new address could not be
	// made durable.
	NotProtected Reason = "NOT_PROTECTED"

	// PairUnproven means that nothing proves that the token and the static
	// address in place belong together, and that the clocks speak against
	// it.
	PairUnproven Reason = "PAIR_UNPROVEN"

	// WrongLnd means that the lnd behind the daemon is not the one that it
	// was, or not the one that its data were made with.
	WrongLnd Reason = "WRONG_LND"

	// Standby means that another process owns the database, and that this
	// one waits for it to end.
	Standby Reason = "STANDBY"

	// LockLost means that the lock on the database was lost, so that
	// everything was stopped that needs it.
	LockLost Reason = "LOCK_LOST"

	// DatabaseDown means that the database server, or the database's file,
	// cannot be reached.
	DatabaseDown Reason = "DATABASE_DOWN"

	// DatabaseNewer means that the swap database was written by a newer
	// loopd.
	DatabaseNewer Reason = "DATABASE_NEWER"

	// DatabaseDirty means that an upgrade of the swap database broke off.
	DatabaseDirty Reason = "DATABASE_DIRTY"

	// DatabaseDamaged means that the swap database cannot be read.
	DatabaseDamaged Reason = "DATABASE_DAMAGED"

	// DatabaseRefuses means that the database server does not let loopd
	// in: password, name or privilege are not as it wants them, or a
	// pooler shares sessions.
	DatabaseRefuses Reason = "DATABASE_REFUSES"

	// LndRefuses means that lnd does not accept the macaroon, or that the
	// macaroon lacks a permission.
	LndRefuses Reason = "LND_REFUSES"

	// LndUnreachable means that lnd cannot be reached as loopd is
	// configured: the certificate or the address is wrong.
	LndUnreachable Reason = "LND_UNREACHABLE"

	// LndUnsuitable means that this lnd cannot serve loopd: too old, of
	// another network, or built without a part that is needed.
	LndUnsuitable Reason = "LND_UNSUITABLE"

	// MacaroonsDamaged means that the file of loopd's own macaroons, or
	// loop.macaroon itself, cannot be read.
	MacaroonsDamaged Reason = "MACAROONS_DAMAGED"

	// BackupAwaited means that the directory is empty and a backup place
	// has not answered yet: the swap client waits, so that nothing is
	// bought before the backup that may be there was looked for.
	BackupAwaited Reason = "BACKUP_AWAITED"

	// PlacesUnanswered means that a half of the generation is missing and
	// that a backup place has not answered yet: no address is made or
	// handed out before.
	PlacesUnanswered Reason = "PLACES_UNANSWERED"

	// AddressUnwatched means that lnd's wallet was not seen to watch the
	// static address.
	AddressUnwatched Reason = "ADDRESS_UNWATCHED"

	// JournalNewer means that a newer version wrote recovery.db: it is read
	// and never written.
	JournalNewer Reason = "JOURNAL_NEWER"
)

// Explanation is what a person is told about a reason: what happened, what was
// left untouched and what to type next.
type Explanation struct {
	// Sentence says what happened.
	Sentence string

	// Untouched says what was left as it was.
	Untouched string

	// Next is the next command or step; ExplainWithoutRun knows another
	// one where no recovery waits. A command stands at its end, after a
	// colon, or is all of it; what Commands returns is what a test types.
	Next string
}

// Commands returns the commands that Next tells to type, in order; none if
// there is nothing to type. Several are joined by "&&". Words in capitals stand
// for what only the user knows, such as FILE.
func (e Explanation) Commands() []string {
	text := e.Next
	if end := strings.LastIndex(text, ": "); end >= 0 {
		text = text[end+len(": "):]
	}

	commands := strings.Split(text, " && ")
	for _, command := range commands {
		program, _, _ := strings.Cut(command, " ")
		if program != "loop" && program != "lncli" {
			return nil
		}
	}

	return commands
}

// explanations holds the text of every reason.
var explanations = map[Reason]Explanation{
	NoBackupFound: {
		"No valid backup of this network that opens with this " +
			"lnd's seed was found.",
		"Nothing was written.",
		"name a file that is elsewhere: " +
			"loop recover --backup_file FILE",
	},
	PlaceUnreadable: {
		"A backup place, or a file in it, cannot be read.",
		"Nothing was written.",
		"check the place's permissions and mount, then: " +
			"loop recover resume",
	},
	BackupConflict: {
		"Two valid backups claim the same L402 token with " +
			"different contents.",
		"Nothing was written and both files were left alone.",
		"choose one: loop recover --backup_file FILE",
	},
	NotABackup: {
		"The file is not a backup of an L402 generation.",
		"Nothing was written.",
		"use another file: loop backup list",
	},
	BackupCorrupt: {
		"The backup file is damaged.",
		"Nothing was written and the file was left alone.",
		"use another copy: loop backup list",
	},
	OtherSeed: {
		"The backup was made with another lnd seed.",
		"Nothing was written and the file was left alone.",
		"point loopd at the lnd that made it, or use another file: " +
			"loop backup list",
	},
	OtherNetwork: {
		"The backup belongs to another network.",
		"Nothing was written and the file was left alone.",
		"start loopd with that network, or use another file: " +
			"loop backup list",
	},
	NewerVersion: {
		"The backup was written by a newer version.",
		"Nothing was written and the file was left alone.",
		"update both programs, then: loop recover --backup_file FILE",
	},
	BackupIncomplete: {
		"The backup lacks what a restore needs.",
		"Nothing was written and the file was left alone.",
		"use another copy: loop backup list",
	},
	NameMismatch: {
		"The backup's name does not match its contents.",
		"Nothing was written and the file was left alone.",
		"give the file its original name, then: " +
			"loop recover --backup_file FILE",
	},
	DoesNotOpen: {
		"The backup does not open: it is damaged or was made with " +
			"another seed.",
		"Nothing was written and the file was left alone.",
		"use another copy: loop backup list",
	},
	BackupChanged: {
		"The backup file changed after it had been chosen.",
		"Nothing was written since.",
		"start anew: loop recover cancel && loop recover",
	},
	OtherGenesis: {
		"lnd follows another chain than the backup's network.",
		"Nothing was written.",
		"point loopd at the right lnd, then: loop recover resume",
	},
	KeyNotDerivable: {
		"This lnd does not derive the client key of the backup.",
		"Nothing was written.",
		"point loopd at the lnd that made the backup, then: " +
			"loop recover resume",
	},
	BirthdayAboveTip: {
		"The backup is from after the tip of lnd's chain.",
		"Nothing was written.",
		"wait until lnd is synced, then: loop recover resume",
	},
	TokenConflict: {
		"Another paid L402 token is already in the data directory.",
		"That token was left alone and nothing was written.",
		"the other one can be restored into a data directory of its " +
			"own (loopd --loopdir); to go on with the token in " +
			"place: loop recover cancel",
	},
	TokenPending: {
		"An unpaid L402 token is in the data directory.",
		"It was left alone and nothing was written.",
		"let the swap client settle its payment, by any question to " +
			"the server, and see what it became: " +
			"loop terms && loop recover resume",
	},
	AddressConflict: {
		"Another static address is already in the database.",
		"It was left alone.",
		"the other one can be restored into a data directory of its " +
			"own (loopd --loopdir); to go on with the address in " +
			"place: loop recover cancel",
	},
	NothingToRescan: {
		"There is no L402 token with a static address here.",
		"Nothing was written.",
		"restore one: loop recover",
	},
	NothingToBackUp: {
		"There is no paid L402 token with a static address here.",
		"Nothing was written.",
		"make both, and their backup: loop static new",
	},
	BlocksUnavailable: {
		"The node does not have a block that the scan needs.",
		"What was found so far is kept.",
		"give lnd a node with that block, then: loop recover resume",
	},
	SwapsInFlight: {
		"Swaps or withdrawals are under way, and the restore would " +
			"have to stop them.",
		"Nothing was written and the swaps go on.",
		"wait until they are done, then: loop recover resume",
	},
	CrashLoop: {
		"The daemon died repeatedly in this state.",
		"What was done before is kept.",
		"look at the log, then: loop recover resume",
	},
	UnknownDefinition: {
		"The run was begun by another version of this software.",
		"Nothing was written.",
		"finish it with the version that began it, or: " +
			"loop recover cancel",
	},
	LndLocked: {
		"lnd's wallet is locked.",
		"Nothing was written.",
		"lncli unlock",
	},
	LndDown: {
		"lnd cannot be reached.",
		"Nothing was written.",
		"start lnd; loopd goes on by itself",
	},
	Starting: {
		"loopd is starting.",
		"Nothing was written.",
		"try again in a moment",
	},
	RecoveryActive: {
		"A recovery holds back the swap client.",
		"Swaps and deposits were left as they are.",
		"loop recover status",
	},
	AlreadyRunning: {
		"Another recovery is not finished yet.",
		"It was left alone.",
		"loop recover status",
	},
	Superseded: {
		"The recovery had changed nothing when another one was begun " +
			"in its place.",
		"Nothing was written by it.",
		"loop recover status",
	},
	NotBlocked: {
		"The recovery is not waiting to be resumed.",
		"It was left alone.",
		"loop recover status",
	},
	AlreadyFinished: {
		"The recovery has already ended.",
		"It was left alone.",
		"loop recover list",
	},
	JournalFailed: {
		"A step of the recovery could not be saved, so it was stopped.",
		"Nothing was done after the last saved step.",
		"free space in loopd's data directory or repair its disk, " +
			"and start loopd again if its log says that the " +
			"journal is damaged; then: loop recover resume",
	},
	NoSuchRun: {
		"There is no such recovery.",
		"Nothing was written.",
		"loop recover list",
	},
	BadRequest: {
		"The request contradicts itself.",
		"Nothing was written.",
		"loop recover --help",
	},
	DepositUnverified: {
		"The deposit is in the database but lnd's wallet cannot " +
			"see it, and the chain has not been searched for its " +
			"spend.",
		"The deposit was left alone.",
		"loop recover rescan",
	},
	NotProtected: {
		"The new address has no durable backup yet.",
		"The address is kept, but was not handed out.",
		"free or mount the backup place, then: loop static new",
	},
	PairUnproven: {
		"The L402 token was bought after the static address had been " +
			"made, by the clocks, and nothing proves that they " +
			"belong together.",
		"No backup was written; token and address were left alone.",
		"if they do belong together: loop backup create --accept_pair",
	},
	WrongLnd: {
		"The lnd behind loopd is not the one that it was.",
		"Nothing was written since.",
		"point loopd at the first lnd, then: loop recover resume",
	},
	Standby: {
		"Another loopd owns the database. This one stands by and " +
			"takes over when that one ends.",
		"Nothing was started or written.",
		"ask the other loopd, or stop it to let this one take over",
	},
	LockLost: {
		"loopd lost the lock on its database and stopped the swap " +
			"client and any recovery.",
		"Nothing was written since; a recovery goes on where it " +
			"stopped.",
		"nothing: loopd asks for the lock again by itself",
	},
	DatabaseDown: {
		"The swap database cannot be reached.",
		"Nothing was started or written.",
		"start PostgreSQL or check loopd's --postgres options; with " +
			"SQLite free what the log says is in the way: a " +
			"permission, a full disk, another program; loopd " +
			"goes on by itself",
	},
	DatabaseNewer: {
		"The swap database was written by a newer loopd.",
		"It was left alone and the swap client was not started.",
		"install the loopd version that wrote it, then start it",
	},
	DatabaseDirty: {
		"An upgrade of the swap database broke off half way.",
		"It was left alone and the swap client was not started.",
		"put back a copy of the database from before the upgrade; " +
			"loopd goes on by itself",
	},
	DatabaseDamaged: {
		"The swap database is damaged.",
		"It was left alone and the swap client was not started.",
		"put back a good copy of the file, or what sqlite3's " +
			".recover makes of this one; loopd goes on by itself",
	},
	DatabaseRefuses: {
		"The database server does not let loopd in.",
		"Nothing was started or written.",
		"correct loopd's --postgres options, or the server's " +
			"settings for that user; the log says what it " +
			"refused, and loopd goes on by itself",
	},
	LndRefuses: {
		"lnd refuses loopd: its macaroon is missing, is not " +
			"accepted, or lacks a permission.",
		"Nothing was started or written.",
		"put a macaroon in place that lnd accepts " +
			"(--lnd.macaroonpath); the log names what is " +
			"missing, and loopd goes on by itself",
	},
	LndUnreachable: {
		"lnd cannot be reached as loopd is configured: its " +
			"certificate or its address is wrong.",
		"Nothing was started or written.",
		"correct --lnd.tlspath or --lnd.host; the log says which, " +
			"and a corrected file is noticed within a minute",
	},
	LndUnsuitable: {
		"This lnd cannot serve loopd: it is too old, of another " +
			"network, or lacks a part that loopd needs.",
		"Nothing was started or written.",
		"update lnd, or point loopd at the right one (--lnd.host, " +
			"--network); the log says what is missing",
	},
	MacaroonsDamaged: {
		"loopd's own macaroons cannot be read.",
		"They were left alone, and nothing was started.",
		"restore the file that the log names, or move it away " +
			"to have it made anew: loopd goes on by itself",
	},
	JournalNewer: {
		"A newer version of this software wrote recovery.db.",
		"It was left alone: no recovery can be begun or continued.",
		"install the version that wrote it, and start that one",
	},
	BackupAwaited: {
		"This directory is empty and a backup place does not answer, " +
			"so that the swap client waits for the backup that " +
			"may be there.",
		"Nothing was written or bought.",
		"mount the place, and loopd goes on by itself; to begin " +
			"without a backup: loop recover cancel",
	},
	AddressUnwatched: {
		"lnd's wallet could not be told to watch the static address, " +
			"so that what is paid to it would not be seen.",
		"The address is kept, but was not handed out.",
		"loop static new",
	},
	PlacesUnanswered: {
		"The token or the address of this directory is missing, and " +
			"a backup place that may hold it does not answer.",
		"No address was made or handed out; everything else works.",
		"mount the place, and loopd goes on by itself; to go on " +
			"without it: loop recover cancel",
	},
}

// Explain returns the text of a reason. An unknown reason, as a newer daemon
// may send it to an older command line, is named as it is.
func Explain(reason Reason) Explanation {
	if explanation, ok := explanations[reason]; ok {
		return explanation
	}

	return Explanation{
		Sentence:  fmt.Sprintf("The recovery stopped: %s.", reason),
		Untouched: "See the daemon's log for what was done before.",
		Next:      "loop recover status",
	}
}

// Reasons returns every reason of the closed list, in no order.
func Reasons() []Reason {
	reasons := make([]Reason, 0, len(explanations))
	for reason := range explanations {
		reasons = append(reasons, reason)
	}

	return reasons
}
