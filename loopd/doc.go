// Package loopd is the daemon: upstream's whole Loop client daemon, embedded as
// a library and unchanged, together with the backup and recovery of static
// addresses.
//
// It reads as follows:
//
//	main.go         the life of the process
//	config.go       upstream's configuration plus the [recovery] group
//	upstreamcommand.go  upstream's own commands, such as view
//	run.go          one life of a daemon, and the next if it lost its database
//	daemon.go       what a daemon consists of, and the order of its start
//	embedded.go     the embedded daemon, its start, and the gate around it
//	starter.go      what comes first at a start
//	recover.go      what a run does to the gate
//	lnd.go          our own connection to lnd and its states
//	auth.go         macaroons, also while the embedded daemon is down
//	macaroonstore.go  upstream's macaroon store, ours while it is down
//	server.go, tls.go, panics.go  the one gRPC and the one REST port
//	swapclient.go   upstream's service, forwarded to the embedded daemon
//	methods.go      what is done around each of its methods
//	deposits.go, nilrequest.go, addressdesk.go  what is refused or withheld
//	assets.go       what becomes of taproot assets
//	swapports.go    what the wrapper stands on
//	sweepaddr.go    the addresses that sweeps pay to, in a rebuilt lnd
//	adapters.go     the ports of package actions, on lnd and the files
//	view.go         the ports on the chain, and on what lnd cannot see
//	recovery.go     what the Recovery service (internal/recoveryserver) stands on
package loopd

//go:generate go test -trimpath -run TestOptions$ -update .
