package states

import "fmt"

// Warning is the machine-readable code of what stands in the way of safety
// while everything goes on. It is sent with the status.
type Warning string

// The closed list of warnings. Keep ExplainWarning complete: a test walks the
// list.
const (
	// WarnNotProtected means that the generation in place has no complete
	// backup.
	WarnNotProtected Warning = "NOT_PROTECTED"

	// WarnPlaceBehind means that a backup place lacks the backup of the
	// generation in place.
	WarnPlaceBehind Warning = "BACKUP_PLACE_BEHIND"

	// WarnPlaceUnreadable means that a backup place cannot be read.
	WarnPlaceUnreadable Warning = "BACKUP_PLACE_UNREADABLE"

	// WarnDamaged means that a file with a backup's name is none.
	WarnDamaged Warning = "BACKUP_DAMAGED"

	// WarnOneDisk means that every copy of a backup is on one disk.
	WarnOneDisk Warning = "ONE_DISK"

	// WarnAddressAlone means that there is a static address without the
	// token that it is bound to.
	WarnAddressAlone Warning = "ADDRESS_WITHOUT_TOKEN"

	// WarnNoSecondPlace means that no backup place is configured beside
	// the data directory.
	WarnNoSecondPlace Warning = "NO_SECOND_PLACE"

	// WarnPlaceSilent means that a backup place does not answer.
	WarnPlaceSilent Warning = "BACKUP_PLACE_SILENT"

	// WarnPlaceCrowded means that a backup place holds more files than are
	// looked at.
	WarnPlaceCrowded Warning = "BACKUP_PLACE_CROWDED"

	// WarnPlaceWeak means that a power cut can leave a torn file in a
	// backup place.
	WarnPlaceWeak Warning = "BACKUP_PLACE_WEAK"

	// WarnPlaceEmpty means that nothing is mounted where a backup place
	// used to be.
	WarnPlaceEmpty Warning = "BACKUP_PLACE_EMPTY"

	// WarnTokenPending means that the token in place is not paid for.
	WarnTokenPending Warning = "TOKEN_PENDING_FOUND"

	// WarnWalletBlind means that lnd's wallet may not see all that was
	// paid to the static address.
	WarnWalletBlind Warning = "WALLET_BLIND"

	// WarnJournalSetAside means that the journal was damaged and set
	// aside.
	WarnJournalSetAside Warning = "JOURNAL_SET_ASIDE"

	// WarnJournalUnreadable means that the journal cannot be read now.
	WarnJournalUnreadable Warning = "JOURNAL_UNREADABLE"

	// WarnJournalNewer means that the journal was written by a newer
	// version, so that no recovery can be begun or continued.
	WarnJournalNewer Warning = "JOURNAL_NEWER"
)

// Notice is a warning as it stands now, with the thing that it concerns.
type Notice struct {
	// Warning is the machine-readable code.
	Warning Warning

	// Detail names the thing concerned: a path, a time, a number. It holds
	// nothing secret.
	Detail string
}

// warnings holds the text of every warning. What was left untouched is not
// told: nothing was stopped.
var warnings = map[Warning]Explanation{
	WarnNotProtected: {
		Sentence: "The static address in use has no complete backup.",
		Next:     "loop backup list",
	},
	WarnPlaceBehind: {
		Sentence: "A backup place lacks the backup of the static " +
			"address in use.",
		Next: "mount the place or free space there; loopd tries " +
			"again by itself, and at once with: " +
			"loop backup create",
	},
	WarnPlaceUnreadable: {
		Sentence: "A backup place cannot be read.",
		Next:     "mount the place or mend its permissions",
	},
	WarnDamaged: {
		Sentence: "A backup file is not valid. It was left alone.",
		Next:     "loop backup list",
	},
	WarnOneDisk: {
		Sentence: "Every backup place is on the disk of loopd's data " +
			"directory: they are lost together.",
		Next: "give a directory on another disk with " +
			"--recovery.backupdir",
	},
	WarnAddressAlone: {
		Sentence: "There is a static address but not the L402 token " +
			"it is bound to. The next call to the server buys a " +
			"token that does not belong to it; deposits can then " +
			"only be swept after their timeout.",
		Next: "loop recover --backup_file FILE",
	},
	WarnNoSecondPlace: {
		Sentence: "Backups are kept in loopd's data directory only: " +
			"the disk that loses the swaps loses them, too.",
		Next: "give a directory on another disk with " +
			"--recovery.backupdir",
	},
	WarnPlaceSilent: {
		Sentence: "A backup place does not answer. Nothing waits for " +
			"it.",
		Next: "look at the mount; loopd goes on with it by itself " +
			"when it answers",
	},
	WarnPlaceCrowded: {
		Sentence: "A backup place holds more files with a backup's " +
			"name than are looked at.",
		Next: "move the files away that are no backups of yours",
	},
	WarnPlaceWeak: {
		Sentence: "The file system of a backup place can neither " +
			"link files nor rename them without replacing: a " +
			"power cut while a backup is written can leave a " +
			"torn file there, which is then judged corrupt.",
		Next: "keep another copy on another file system",
	},
	WarnPlaceEmpty: {
		Sentence: "A backup place looks like a mount point with " +
			"nothing mounted. Nothing is written to it.",
		Next: "mount it; if it is to be an ordinary directory from " +
			"now on, copy a backup file into it",
	},
	WarnTokenPending: {
		Sentence: "An L402 token that was not paid for is in the " +
			"data directory. Calls to the server fail until its " +
			"payment settles, and for ever if this lnd does not " +
			"know that payment.",
		Next: "lncli listpayments; a payment under way settles by " +
			"itself",
	},
	WarnWalletBlind: {
		Sentence: "lnd's wallet may not see all that was paid to the " +
			"static address. The chain is searched for it in the " +
			"background; until then deposits that lnd does not " +
			"know are shown as they were last known and cannot " +
			"be spent.",
		Next: "loop recover rescan",
	},
	WarnJournalSetAside: {
		Sentence: "The journal recovery.db was damaged. It was set " +
			"aside, and what could be read of it was taken over " +
			"into a new one. What lnd's wallet sees is unproven " +
			"until the chain was searched.",
		Next: "loop recover rescan",
	},
	WarnJournalUnreadable: {
		Sentence: "The record of recoveries cannot be read. The swap " +
			"client goes on without it.",
		Next: "restart loopd: it sets a damaged record aside and " +
			"begins a new one",
	},
	WarnJournalNewer: {
		Sentence: "The journal recovery.db was written by a newer " +
			"version of loopd and was left alone. The swap " +
			"client runs; no recovery can be begun or continued.",
		Next: "start the newer version",
	},
}

// ExplainWarning returns the text of a warning. An unknown one is named as it
// is.
func ExplainWarning(warning Warning) Explanation {
	if explanation, ok := warnings[warning]; ok {
		return explanation
	}

	return Explanation{
		Sentence: fmt.Sprintf("Warning: %s.", warning),
		Next:     "loop recover status",
	}
}

// Warnings returns every warning of the closed list, in no order.
func Warnings() []Warning {
	list := make([]Warning, 0, len(warnings))
	for warning := range warnings {
		list = append(list, warning)
	}

	return list
}
