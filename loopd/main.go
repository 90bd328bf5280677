package loopd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	upstream "github.com/lightninglabs/loop/loopd"
	"github.com/lightningnetwork/lnd"
	"github.com/lightningnetwork/lnd/build"
	"github.com/lightningnetwork/lnd/signal"
)

// logFilename is upstream's.
const logFilename = "loopd.log"

// Main is the whole life of the process. The arguments are those after the
// program's name.
func Main(args []string) error {
	cfg, parser, err := LoadConfig(args)
	if errors.Is(err, errExit) {
		return nil
	}
	if err != nil {
		return err
	}

	if parser.Active != nil {
		return runUpstreamCommand(cfg, parser.Active.Name)
	}
	if err := refuseAssets(cfg); err != nil {
		return err
	}

	if err := upstream.Validate(&cfg.Config); err != nil {
		return err
	}
	interceptor, err := signal.Intercept()
	if err != nil {
		return err
	}
	done, err := setUpLogging(cfg, interceptor)
	if err != nil || done {
		return err
	}
	log.Infof("Version: %v", Version())

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-interceptor.ShutdownChannel()
		cancel()
	}()

	err = runWhileOwner(ctx, cfg)
	interceptor.RequestShutdown()
	logEnd(err)

	return err
}

// logEnd logs why the process ends, if it is for an error: in the one line of
// the log that is an error, so that whoever counts those is not told twice.
func logEnd(err error) {
	var told *toldError
	switch {
	case errors.As(err, &told):
		log.Infof("Exiting, for the cause above")

	case err != nil:
		log.Errorf("Exiting: %v", err)
	}
}

// setUpLogging sends the log lines of upstream and of our packages to the
// console and to upstream's log file. It reports whether the user only asked
// for the list of subsystems.
func setUpLogging(cfg *Config, interceptor signal.Interceptor) (bool, error) {
	writer := build.NewRotatingLogWriter()
	manager := build.NewSubLoggerManager(
		build.NewDefaultLogHandlers(cfg.Logging, writer)...,
	)
	upstream.SetupLoggers(manager, interceptor)
	for subsystem, use := range loggers {
		lnd.AddSubLogger(manager, subsystem, interceptor, use)
	}

	if cfg.DebugLevel == "show" {
		fmt.Printf("Supported subsystems: %v\n",
			manager.SupportedSubsystems())

		return true, nil
	}

	err := writer.InitLogRotator(
		cfg.Logging.File, filepath.Join(cfg.LogDir, logFilename),
	)
	if err != nil {
		return false, err
	}

	return false, build.ParseAndSetDebugLevels(cfg.DebugLevel, manager)
}
