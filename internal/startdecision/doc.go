// Package startdecision says what comes first when loopd starts: the swap
// client, an unfinished recovery, a restore, or a look for a backup. It is
// pure: what is there goes in, what to do comes out, and the same question can
// be asked again whenever the world has changed.
//
// Two promises pull against each other here. The swap client is never held back
// by anything of ours, because swaps in flight have deadlines. And nothing may
// buy a new L402 token, or hand out an address that belongs to it, before a
// backup that would have been restored was looked for. They are kept together
// by one distinction:
//
//   - An empty directory (no token, no address row, nothing of a swap) has
//     nothing that a deadline could run out for. There the swap client waits,
//     for a restore and for places that do not answer.
//   - Everywhere else it starts. Half an install is restored first if a
//     matching backup is found within HalfInstallLimit; otherwise only the
//     calls that make or hand out an address wait.
//
// The one exception to the second rule is a recovery that writes the token file
// or the address row, or stands between the two.
package startdecision
