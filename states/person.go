package states

// needsPerson are the reasons for which the swap client is not up and which do
// not go away by themselves. What passes when lnd or a database comes back is
// not among them, nor is a standby, which is as it should be.
var needsPerson = map[Reason]bool{
	BackupAwaited:    true,
	DatabaseDamaged:  true,
	DatabaseDirty:    true,
	DatabaseNewer:    true,
	DatabaseRefuses:  true,
	JournalNewer:     true,
	LndRefuses:       true,
	LndUnreachable:   true,
	LndUnsuitable:    true,
	MacaroonsDamaged: true,
	WrongLnd:         true,
}

// NeedsPerson reports whether a swap client that is down for a reason stays
// down until somebody does what the reason's explanation says.
func NeedsPerson(reason Reason) bool {
	return needsPerson[reason]
}

// HoldsBack reports whether a reason means that something of ours holds the
// swap client back, rather than that something outside is missing.
func HoldsBack(reason Reason) bool {
	return reason == RecoveryActive || reason == BackupAwaited ||
		reason == JournalNewer
}
