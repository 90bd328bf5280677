// Package loopd is the daemon: upstream's whole Loop client daemon, embedded as
// a library and unchanged, together with the backup and recovery of static
// addresses.
//
// It reads as follows:
//
//	main.go       the life of the process
//	config.go     upstream's configuration plus the [recovery] group
//	run.go        one life of a daemon, and the next one if it lost its database
//	daemon.go     what a daemon consists of, and the order of its start
//	owner.go      what makes one process the owner of directory and database
//	lnd.go        our own connection to lnd and its states
//	auth.go       macaroons, also while the embedded daemon is down
//	server.go     the one gRPC and the one REST port
//	swapclient.go upstream's service, forwarded to the embedded daemon
//	gate.go       when the embedded daemon may run
//	recover.go    what is recovered at a start, and what holds the gate
//	protect.go    backups: at start, and before an address is handed out
//	selfcheck.go  every copy judged daily, and what is missing written again
//	judge.go      what a backup is worth on this lnd
//	sweepaddr.go  the addresses that sweeps pay to, in a rebuilt lnd
//	adapters.go   the ports of package actions, on lnd and the files
//	database.go   the ports on the embedded daemon's database
//	view.go       the ports on the chain, and on what lnd cannot see
//	recovery.go   what the Recovery service (internal/recoveryserver) stands on
package loopd
