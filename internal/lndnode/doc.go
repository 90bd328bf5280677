// Package lndnode is our own connection to lnd, which outlives the embedded
// daemon's: who lnd is, whether it lets us in, and the ports on it.
//
// lnd is looked at before it is connected to: on a connection of the look's
// own, closed before the look returns, by calls that change nothing. What it
// finds is typed here and nowhere else. Permanent, since somebody has to change
// something first:
//
//   - states.LndUnreachable: the certificate's file is missing, is none, or is
//     not the one that lnd shows; the address does not parse or resolve.
//   - states.LndRefuses: the macaroon is missing, is not accepted, or lacks a
//     permission without which nothing works.
//   - states.LndUnsuitable: lnd is too old, of another network, or was built
//     without what is needed.
//   - states.WrongLnd: the lnd at the address is not the first one.
//
// Everything else is transient: states.LndDown, states.LndLocked, and
// states.Starting while lnd starts or catches up with its chain.
//
// Files are read anew at each look, so that a renewed certificate or macaroon
// is used from the next one on. The lnd that was connected to first stays the
// one until it is found to be wrong (Forget): no connection to another identity
// is opened, also not by gRPC's reconnecting behind the back of whoever uses
// the services.
package lndnode
