// Package loopd is the daemon: upstream's whole Loop client daemon, embedded as
// a library and unchanged, together with the backup and recovery of static
// addresses.
//
// It reads as follows:
//
//	main.go         the life of the process
//	config.go       upstream's configuration plus the [recovery] group
//	upstreamcommand.go  upstream's own commands, such as view
//	run.go          one life of a daemon, and the next if it lost the lock
//	daemon.go       what a daemon consists of, and the order of its start
//	starter.go, start.go  what comes before the swap client
//	runhold.go      the hold that a recovery has on the gate
//	embedded.go     the embedded daemon, its start, and the gate around it
//	watch.go        what lnd is told to watch before each start
//	busy.go         what the embedded daemon says is in flight
//	auth.go         macaroons, also while the embedded daemon is down
//	macaroonstore.go  upstream's macaroon store, ours while it is down
//	server.go, tls.go, panics.go  the one gRPC and the one REST port
//	swapclient.go   upstream's service, forwarded to the embedded daemon
//	methods.go      what is done around each of its methods
//	deposits.go, nilrequest.go, addressdesk.go  what is refused or withheld
//	assets.go       what becomes of taproot assets
//	swapports.go    what the wrapper stands on
//	adapters.go     the keeper of backups, on lnd and the files
//	view.go         the ports on the chain, and on what lnd cannot see
//	recovery.go     what the Recovery service stands on
package loopd

//go:generate go test -trimpath -run TestOptions$ -update .
