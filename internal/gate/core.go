package gate

import (
	"slices"

	"github.com/looprecovery/looprecovery/states"
)

// State is what the embedded daemon is doing.
type State int

const (
	// Down means that no daemon runs and none is being started.
	Down State = iota

	// Starting means that a start is under way.
	Starting

	// Up means that the daemon runs.
	Up

	// Stopping means that the daemon was told to stop and has not ended.
	Stopping
)

// String returns the name of the state.
func (s State) String() string {
	return [...]string{"down", "starting", "up", "stopping"}[s]
}

// stage is how far a hold has come.
type stage int

const (
	// waiting for the calls under way, or for the turn to ask.
	waiting stage = iota

	// asking whether something is in flight.
	asking

	// cleared: nothing is in flight, and the daemon is to go down.
	cleared

	// holding: the daemon is down and stays down.
	holding

	// over: the claim was refused, abandoned or released, or Run has ended
	// before it was in force.
	over
)

// claim is one holder's hold, from the moment it is asked for to its release.
// No two claims have the same name.
type claim struct {
	Holder

	// id tells claims of the same holder apart, one after the other.
	id int

	stage stage

	// about is the state that the question under way is about. Its answer
	// counts only if that is still the state.
	about State
}

// core is the gate's state machine. Each method is an event; the fields after
// it say what is to be done: a start while Starting, a stop while Stopping, a
// question for each claim that is asking. The zero value is down and not
// running. It is not safe for concurrent use.
type core struct {
	state State

	// running says that Run has begun; before that nothing is started.
	running bool

	// ended says that Run has ended or is about to, for good.
	ended bool

	// resting says that the daemon died and is not to be started yet.
	resting bool

	// calls is the number of calls that were admitted and are not done.
	calls int

	// questions is the number of questions under way. While there is one
	// the daemon is not stopped.
	questions int

	// claims are in the order in which they were made.
	claims []claim

	// lastID is the id of the newest claim.
	lastID int
}

// hold is a hold that is in force from the beginning.
func (c *core) hold(holder Holder) {
	c.lastID++
	c.claims = append(c.claims, claim{
		Holder: holder, id: c.lastID, stage: holding,
	})
}

// join is a hold beside those that are in force. It reports whether there is
// one, and the new one with it.
func (c *core) join(holder Holder) bool {
	inForce := func(claim claim) bool { return claim.stage == holding }
	if !slices.ContainsFunc(c.claims, inForce) {
		return false
	}
	i := c.indexOf(holder.Name)
	switch {
	case i < 0:
		c.hold(holder)

	case c.claims[i].stage == holding:
		c.claims[i].Reason = holder.Reason

	default:
		c.claims = slices.Delete(c.claims, i, i+1)
		c.hold(holder)
	}

	return true
}

// begin is the begin of Run.
func (c *core) begin() {
	c.running = true
	c.settle()
}

// end is the end of Run's context, or a start that failed: nothing is started,
// held or admitted any more, and what runs is stopped without a question.
func (c *core) end() {
	c.ended = true
	c.settle()
}

// started is a start that came to its end well, called off or not.
func (c *core) started() {
	c.state = Up
	c.askAgain()
	c.settle()
}

// calledOff is a start that was given up before anything ran.
func (c *core) calledOff() {
	c.state = Down
	c.settle()
}

// exited is the end of the daemon. It reports whether the daemon ended by
// itself; then it is not started again before rested.
func (c *core) exited() bool {
	crashed := c.state == Up
	if crashed {
		c.resting = true
		c.askAgain()
	}
	c.state = Down
	c.settle()

	return crashed
}

// rested is the end of the pause after a crash.
func (c *core) rested() {
	c.resting = false
	c.settle()
}

// claim asks for a hold. It returns the claim's id, or false if another hold
// of this name is being asked for. A hold in force is only given the reason.
func (c *core) claim(holder Holder) (int, bool) {
	if i := c.indexOf(holder.Name); i >= 0 {
		if c.claims[i].stage != holding {
			return 0, false
		}
		c.claims[i].Reason = holder.Reason

		return c.claims[i].id, true
	}

	c.lastID++
	c.claims = append(c.claims, claim{Holder: holder, id: c.lastID})
	c.settle()

	return c.lastID, true
}

// answered is the end of a claim's question. It reports whether the answer
// counts: it does not if the claim is over, or if the daemon asked about is not
// there any more, or came up meanwhile. Then the claim asks again.
func (c *core) answered(id int, clear bool) bool {
	defer c.settle()

	c.questions--
	claim := c.find(id)
	if claim == nil {
		return false
	}
	counts := claim.about == c.state
	switch {
	case !counts:
		claim.stage = waiting

	case clear:
		claim.stage = cleared

	default:
		c.drop(id)
	}

	return counts
}

// abandon is a hold that is given up while it is asked for.
func (c *core) abandon(id int) {
	c.drop(id)
	c.settle()
}

// release ends the hold of a name, in force or not.
func (c *core) release(name string) {
	if i := c.indexOf(name); i >= 0 {
		c.claims = slices.Delete(c.claims, i, i+1)
	}
	c.settle()
}

// inquire is the begin of a question without a hold. It ends with inquired.
func (c *core) inquire() {
	c.questions++
}

// inquired is the end of a question without a hold.
func (c *core) inquired() {
	c.questions--
	c.settle()
}

// enter is a call that wants to reach the daemon. It reports whether it may.
func (c *core) enter() bool {
	if !c.admits() {
		return false
	}
	c.calls++

	return true
}

// leave is the end of an admitted call.
func (c *core) leave() {
	c.calls--
	c.settle()
}

// settle takes the steps that follow from the state by themselves.
func (c *core) settle() {
	if c.ended {
		if c.state == Up {
			c.state = Stopping
		}
		return
	}
	if c.cleared() {
		c.bringDown()
		return
	}

	switch {
	case len(c.claims) == 0:
		if c.state == Down && c.running && !c.resting {
			c.state = Starting
		}

	case c.state != Stopping && c.calls == 0 && c.questions == 0:
		c.askNext()
	}
}

// bringDown leads the cleared claims on.
func (c *core) bringDown() {
	switch {
	case c.state == Up && c.questions == 0:
		c.state = Stopping

	case c.state == Down:
		for i := range c.claims {
			if c.claims[i].stage == cleared {
				c.claims[i].stage = holding
			}
		}
		c.settle()
	}
}

// askNext lets the oldest claim that waits ask.
func (c *core) askNext() {
	for i := range c.claims {
		if c.claims[i].stage == waiting {
			c.claims[i].stage = asking
			c.claims[i].about = c.state
			c.questions++

			return
		}
	}
}

// askAgain takes back what was cleared about a daemon that is not this one.
func (c *core) askAgain() {
	for i := range c.claims {
		if c.claims[i].stage == cleared {
			c.claims[i].stage = waiting
		}
	}
}

// cleared reports whether a claim is cleared, and so is to be brought down for.
func (c *core) cleared() bool {
	return slices.ContainsFunc(c.claims, func(claim claim) bool {
		return claim.stage == cleared
	})
}

// unwanted reports whether a start under way is to be called off.
func (c *core) unwanted() bool {
	return c.ended || c.cleared()
}

// admits reports whether a call may reach the daemon.
func (c *core) admits() bool {
	return c.state == Up && len(c.claims) == 0
}

// reason returns why the newest claim that gives a reason is there, or the
// empty reason.
func (c *core) reason() states.Reason {
	for _, claim := range slices.Backward(c.claims) {
		if claim.Reason != "" {
			return claim.Reason
		}
	}

	return ""
}

// find returns a claim, or nil if it was dropped or released.
func (c *core) find(id int) *claim {
	for i := range c.claims {
		if c.claims[i].id == id {
			return &c.claims[i]
		}
	}

	return nil
}

// stage returns how far a claim has come.
func (c *core) stage(id int) stage {
	claim := c.find(id)
	if claim == nil || c.ended && claim.stage != holding {
		return over
	}

	return claim.stage
}

// indexOf returns the index of the claim of a name, or -1.
func (c *core) indexOf(name string) int {
	return slices.IndexFunc(c.claims, func(claim claim) bool {
		return claim.Name == name
	})
}

// drop removes a claim.
func (c *core) drop(id int) {
	c.claims = slices.DeleteFunc(c.claims, func(claim claim) bool {
		return claim.id == id
	})
}
