// Package regtest starts and stops real nodes on a regression test network of
// their own: btcd, lnd, upstream's or our loopd, and a stand-in for the Loop
// server that runs in this process and is paid with real Lightning payments.
//
// It is a library for integration tests and for the demo, and therefore
// returns errors and takes no *testing.T. A Network is the ordinary way in:
//
//	network, err := regtest.NewNetwork(ctx, regtest.Config{
//		BinDir: binDir, BaseDir: dir, LogDir: logDir,
//	})
//	...
//	defer network.Stop()
//	loopd, err := network.StartLoopd(ctx, regtest.LoopdConfig{})
//
// Everything listens on 127.0.0.1 and on ports that the system chose. Every
// process keeps its port and directory over a restart, is stopped by its
// process id, and dies with the process that started it. Whatever is waited for
// is a condition with a limit in time; nothing sleeps for a fixed while.
package regtest
