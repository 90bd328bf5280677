package regtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// stopTimeout is how long a process has to end after SIGTERM before
	// it is killed and the stop reported as failed.
	stopTimeout = 60 * time.Second

	// logTail is how many bytes of a process's log its early end quotes.
	logTail = 2_000
)

// ErrNotRunning is returned by operations on a process that is not running.
var ErrNotRunning = errors.New("the process is not running")

// process is one program in the background that writes to a log file. It can
// be started again after it ended; all runs append to the same log.
type process struct {
	name string
	path string
	log  string

	// dir is the working directory; the zero value is this process's.
	dir string

	// as is the user that the program runs as; nil is this process's.
	as *syscall.Credential

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// newProcess describes a program without starting it. The log is
// LOGDIR/NAME.log.
func newProcess(name, path, logDir string) *process {
	return &process{
		name: name, path: path,
		log: filepath.Join(logDir, name+".log"),
	}
}

// start runs the program with the arguments and with env added to this
// process's environment.
func (p *process) start(env []string, args ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.runningLocked() {
		return fmt.Errorf("%s is running already", p.name)
	}
	if err := os.MkdirAll(filepath.Dir(p.log), 0o755); err != nil {
		return err
	}
	logFile, err := os.OpenFile(
		p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644,
	)
	if err != nil {
		return err
	}
	// The child has its own descriptor once it is started.
	defer logFile.Close()

	cmd := exec.Command(p.path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Dir = p.dir
	cmd.SysProcAttr = dieWithParent()
	cmd.SysProcAttr.Credential = p.as
	if err := spawn(cmd); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}

	done := make(chan struct{})
	p.cmd, p.done, p.err = cmd, done, nil
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(done)
	}()

	return nil
}

// runningLocked reports whether the program was started and has not ended. mu
// must be held.
func (p *process) runningLocked() bool {
	if p.done == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// running reports whether the program was started and has not ended.
func (p *process) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()

	return p.runningLocked()
}

// pid returns the id of the process, 0 if it was never started.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.cmd == nil || p.cmd.Process == nil {
		return 0
	}

	return p.cmd.Process.Pid
}

// exitCode returns the exit code of a process that has ended, -1 otherwise.
func (p *process) exitCode() int {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.done == nil || p.runningLocked() {
		return -1
	}

	return p.cmd.ProcessState.ExitCode()
}

// alive returns an error that quotes the end of the log if the program is not
// running.
func (p *process) alive() error {
	if p.running() {
		return nil
	}
	p.mu.Lock()
	err := p.err
	p.mu.Unlock()

	return fmt.Errorf("%s: %w (%v); its log %s ends:\n%s", p.name,
		ErrNotRunning, err, p.log, tail(p.log, logTail))
}

// stop asks the program to end and waits until it has. A program that does not
// is killed, which is an error.
func (p *process) stop() error {
	return p.end(syscall.SIGTERM)
}

// kill ends the program with SIGKILL, at whatever it is doing.
func (p *process) kill() error {
	return p.end(syscall.SIGKILL)
}

// end sends a signal and waits for the program's end. Ending a program that is
// not running is no error.
func (p *process) end(signal syscall.Signal) error {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	running := p.runningLocked()
	p.mu.Unlock()
	if !running {
		return nil
	}

	err := cmd.Process.Signal(signal)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signalling %s: %w", p.name, err)
	}

	select {
	case <-done:
		return nil
	case <-time.After(stopTimeout):
	}

	killErr := cmd.Process.Kill()
	<-done

	return errors.Join(killErr, fmt.Errorf("%s had not ended %v after %v",
		p.name, stopTimeout, signal))
}

// wait waits for the program to end by itself and returns whether a signal
// ended it.
func (p *process) wait(timeout time.Duration) (bool, error) {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if done == nil {
		return false, fmt.Errorf("%s: %w", p.name, ErrNotRunning)
	}

	select {
	case <-done:
	case <-time.After(timeout):
		return false, fmt.Errorf("%s was still running after %v",
			p.name, timeout)
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)

	return ok && status.Signaled(), nil
}

// tail returns at most the last n bytes of a file, whole lines where possible,
// and nothing if it cannot be read.
func tail(path string, n int64) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()

	info, err := file.Stat()
	if err != nil {
		return ""
	}
	offset := max(0, info.Size()-n)
	buf := make([]byte, info.Size()-offset)
	read, _ := file.ReadAt(buf, offset)
	text := string(buf[:read])
	if offset > 0 {
		if _, rest, ok := strings.Cut(text, "\n"); ok {
			text = rest
		}
	}

	return text
}

// spawner starts commands on one system thread that never ends: the signal of
// dieWithParent is tied to the thread that started the child.
var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()

	return work
})

// spawn starts the command on the spawner's thread.
func spawn(cmd *exec.Cmd) error {
	result := make(chan error)
	spawner() <- func() { result <- cmd.Start() }

	return <-result
}
