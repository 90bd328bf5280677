package gate

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// modelDepth is the number of events in the longest interleaving.
const modelDepth = 7

// runs are the two holders of the model.
var runs = []string{"first", "second"}

// world is what is true outside of the gate: what a person with a view of the
// process could count. It is the reference against which the core is judged,
// and keeps its own books: it knows nothing of claims and stages.
type world struct {
	// begun: a start is under way. alive: a daemon runs.
	begun, alive bool

	// told: the daemon that runs was told to stop.
	told bool

	// life numbers the daemons.
	life int

	// calls are the admitted calls that are not done, by the life that
	// they were admitted to.
	calls []int

	// wants are the holds that were asked for and are not decided; holds
	// are those that are in force.
	wants, holds map[string]bool

	// clean: since the last call or start, or the last answer that
	// something is in flight, the daemon that runs has said that nothing
	// is in flight.
	clean bool

	// cleared are those among them that were told that nothing is in
	// flight.
	cleared map[string]bool

	// ended: the process was asked to stop.
	ended bool

	// resting: the daemon died and the pause is not over.
	resting bool
}

// clone returns a copy.
func (w world) clone() world {
	w.calls = slices.Clone(w.calls)
	w.wants = cloneSet(w.wants)
	w.holds = cloneSet(w.holds)
	w.cleared = cloneSet(w.cleared)

	return w
}

// admits reports whether a call may reach the daemon.
func (w *world) admits() bool {
	return w.alive && !w.told && !w.ended && len(w.wants) == 0 &&
		len(w.holds) == 0
}

// forget is the end of a run's hold.
func (w *world) forget(run string) {
	delete(w.wants, run)
	delete(w.holds, run)
	delete(w.cleared, run)
}

// cloneSet copies a set.
func cloneSet(set map[string]bool) map[string]bool {
	clone := make(map[string]bool, len(set))
	for name := range set {
		clone[name] = true
	}

	return clone
}

// gateUnderTest are the events of the core, each of which a broken twin may
// replace.
type gateUnderTest struct {
	begin     func(*core)
	end       func(*core)
	started   func(*core)
	calledOff func(*core)
	exited    func(*core) bool
	rested    func(*core)
	claim     func(*core, Holder) (int, bool)
	answered  func(*core, int, bool) bool
	abandon   func(*core, int)
	release   func(*core, string)
	join      func(*core, Holder) bool
	enter     func(*core) bool
	leave     func(*core)
}

// sound is the gate as it is.
func sound() gateUnderTest {
	return gateUnderTest{
		begin:     (*core).begin,
		end:       (*core).end,
		started:   (*core).started,
		calledOff: (*core).calledOff,
		exited:    (*core).exited,
		rested:    (*core).rested,
		claim:     (*core).claim,
		answered:  (*core).answered,
		abandon:   (*core).abandon,
		release:   (*core).release,
		join:      (*core).join,
		enter:     (*core).enter,
		leave:     (*core).leave,
	}
}

// node is one point of an interleaving.
type node struct {
	core  core
	world world
}

// clone returns a copy.
func (n node) clone() *node {
	n.core.claims = slices.Clone(n.core.claims)
	n.world = n.world.clone()

	return &n
}

// step is one event that can happen at a node.
type step struct {
	name string

	// does lets it happen and returns what the event itself did wrong.
	does func(*node) error
}

// steps returns all that can happen at a node.
func (g gateUnderTest) steps(n *node) []step {
	var steps []step
	add := func(name string, possible bool, does func(*node) error) {
		if possible {
			steps = append(steps, step{name, does})
		}
	}

	w := n.world
	add("start", w.begun, g.start)
	add("call off", w.begun && n.core.unwanted(), g.callOff)
	add("stop", w.told, g.stop)
	add("crash", w.alive && !w.told, g.crash)
	add("rest", w.resting, func(n *node) error {
		n.world.resting = false
		g.rested(&n.core)
		return nil
	})
	add("call", true, g.call)
	add("done", len(w.calls) > 0, func(n *node) error {
		n.world.calls = n.world.calls[1:]
		g.leave(&n.core)
		return nil
	})
	add("shut down", !w.ended, func(n *node) error {
		n.world.ended = true
		g.end(&n.core)
		return nil
	})
	for _, run := range runs {
		steps = append(steps, g.runSteps(n, run)...)
	}

	return steps
}

// runSteps returns what a run can do, or what can come back to it.
func (g gateUnderTest) runSteps(n *node, run string) []step {
	var steps []step
	add := func(name string, possible bool, does func(*node) error) {
		if possible {
			steps = append(steps, step{name + " " + run, does})
		}
	}

	wants, holds := n.world.wants[run], n.world.holds[run]
	add("hold", !wants, func(n *node) error {
		n.world.wants[run] = true
		if _, made := g.claim(&n.core, Holder{Name: run}); !made {
			return fmt.Errorf("%s cannot ask for its hold", run)
		}
		return nil
	})
	add("release", wants || holds, func(n *node) error {
		n.world.forget(run)
		g.release(&n.core, run)
		return nil
	})
	add("join", !wants, func(n *node) error {
		joined := g.join(&n.core, Holder{Name: run})
		if joined != (len(n.world.holds) > 0) {
			return fmt.Errorf("joined: %v", joined)
		}
		if joined {
			n.world.cleared[run] = true
			n.world.wants[run] = true
		}
		return nil
	})
	add("give up", wants, func(n *node) error {
		n.world.forget(run)
		g.abandon(&n.core, n.id(run))
		return nil
	})
	isAsking := n.core.stage(n.id(run)) == asking
	add("nothing in flight for", isAsking, func(n *node) error {
		return g.answer(n, run, true)
	})
	add("busy for", isAsking, func(n *node) error {
		return g.answer(n, run, false)
	})

	return steps
}

// id returns the id of a run's claim, or zero.
func (n *node) id(run string) int {
	if i := n.core.indexOf(run); i >= 0 {
		return n.core.claims[i].id
	}

	return 0
}

// start is a start that succeeds, called off or not.
func (g gateUnderTest) start(n *node) error {
	n.world.begun = false
	n.world.alive = true
	n.world.life++
	n.world.clean = false
	g.started(&n.core)

	return nil
}

// callOff is a start that is given up.
func (g gateUnderTest) callOff(n *node) error {
	n.world.begun = false
	g.calledOff(&n.core)

	return nil
}

// stop is the end of a daemon that was told to stop.
func (g gateUnderTest) stop(n *node) error {
	if len(n.callsOfLife()) > 0 && !n.world.ended {
		return fmt.Errorf("a call lost its daemon")
	}
	n.world.alive, n.world.told = false, false
	if g.exited(&n.core) {
		return fmt.Errorf("a stop was taken for a crash")
	}

	return nil
}

// callsOfLife returns the calls that hold the daemon that runs.
func (n *node) callsOfLife() []int {
	return slices.DeleteFunc(slices.Clone(n.world.calls),
		func(life int) bool { return life != n.world.life })
}

// crash is the end of a daemon that nobody told to stop.
func (g gateUnderTest) crash(n *node) error {
	n.world.alive = false
	n.world.resting = true
	if !g.exited(&n.core) {
		return fmt.Errorf("a crash was taken for a stop")
	}

	return nil
}

// call is a call that wants to reach the daemon.
func (g gateUnderTest) call(n *node) error {
	w := &n.world
	may := w.admits()
	admitted := g.enter(&n.core)
	if admitted {
		w.calls = append(w.calls, w.life)
		w.clean = false
	}
	if admitted != may {
		return fmt.Errorf("call admitted: %v, expected %v", admitted,
			may)
	}

	return nil
}

// answer is the end of a run's question.
func (g gateUnderTest) answer(n *node, run string, clear bool) error {
	claim := *n.core.find(n.id(run))
	before := n.core.state
	counts := g.answered(&n.core, claim.id, clear)
	if !counts {
		return nil
	}
	if claim.about == Up {
		n.world.clean = clear
	}
	if clear {
		n.world.cleared[run] = true
		return nil
	}

	delete(n.world.wants, run)
	if before != Down && n.core.state != before {
		return fmt.Errorf("busy, and %v became %v", before,
			n.core.state)
	}

	return nil
}

// observe compares the core with the world after an event, and lets the world
// follow: a start that is begun, a daemon that is told to stop, a hold that
// comes into force.
func (n *node) observe() error {
	w, c := &n.world, &n.core

	switch c.state {
	case Starting:
		if w.alive || len(w.holds) > 0 || w.resting {
			return fmt.Errorf(
				"started while alive, held or resting",
			)
		}
		w.begun = true

	case Stopping:
		if !w.alive {
			return fmt.Errorf("nothing to stop")
		}
		if !w.told && !w.ended {
			if err := n.mayStop(); err != nil {
				return err
			}
		}
		w.told = true
	}

	for _, run := range runs {
		if c.stage(n.id(run)) == holding {
			if !w.holds[run] && !w.cleared[run] {
				return fmt.Errorf("held without having asked")
			}
			delete(w.wants, run)
			w.holds[run] = true
		}
		if w.ended && w.wants[run] {
			// Its Hold returns ErrEnded.
			delete(w.wants, run)
			c.abandon(n.id(run))
		}
	}

	return n.judge()
}

// mayStop returns why the daemon must not be told to stop.
func (n *node) mayStop() error {
	switch {
	case len(n.world.wants) == 0:
		return fmt.Errorf("stopped for nobody")

	case len(n.callsOfLife()) > 0:
		return fmt.Errorf("stopped under a call")

	case !n.world.clean:
		return fmt.Errorf("stopped without having asked")

	default:
		return nil
	}
}

// judge checks what must hold at every moment.
func (n *node) judge() error {
	w, c := n.world, &n.core

	switch {
	case w.alive && w.begun:
		return fmt.Errorf("two daemons")

	case len(w.holds) > 0 && (w.alive || w.begun || c.state != Down):
		return fmt.Errorf("held and not down")

	case w.alive != (c.state == Up || c.state == Stopping):
		return fmt.Errorf("alive: %v, %v", w.alive, c.state)

	case w.ended && w.alive && !w.told:
		return fmt.Errorf("shut down, and not told to stop")

	case c.questions < 0 || c.questions > 1:
		return fmt.Errorf("%d questions", c.questions)
	}

	for _, run := range runs {
		stage := c.stage(n.id(run))
		known := stage != over
		if known != (w.wants[run] || w.holds[run]) && !w.ended {
			return fmt.Errorf("%s: lost, or held by nobody", run)
		}
	}
	if !w.ended && n.stuck() {
		return fmt.Errorf("nothing goes on")
	}

	return nil
}

// stuck reports whether somebody waits for nothing: a daemon that nobody holds
// is down, or a hold is not decided although nothing has to happen before.
func (n *node) stuck() bool {
	w, c := n.world, &n.core
	if len(w.wants) == 0 {
		return c.state == Down && len(w.holds) == 0 && !w.resting
	}
	moving := len(w.calls) > 0 || c.questions > 0 || w.told ||
		w.begun && c.unwanted()

	return !moving
}

// walk lets every interleaving of up to depth events happen and returns how
// many there were, or the first that broke a promise.
func (g gateUnderTest) walk(n *node, depth int, path []string) (int, error) {
	if depth == 0 {
		return 1, nil
	}

	count := 1
	for _, step := range g.steps(n) {
		next := n.clone()
		path := append(slices.Clone(path), step.name)
		err := step.does(next)
		if err == nil {
			err = next.observe()
		}
		if err != nil {
			return count, fmt.Errorf("%s: %w",
				strings.Join(path, ", "), err)
		}
		// What changes nothing need not be followed.
		if reflect.DeepEqual(n, next) {
			count++
			continue
		}
		more, err := g.walk(next, depth-1, path)
		count += more
		if err != nil {
			return count, err
		}
	}

	return count, nil
}

// explore walks from each state that a gate is in for long: held from the
// beginning, starting, and up. It returns the number of interleavings.
func (g gateUnderTest) explore(depth int) (int, error) {
	beginnings := []struct {
		held bool
		then []func(*node) error
	}{
		{held: true},
		{},
		{then: []func(*node) error{g.start}},
	}

	total := 0
	for _, beginning := range beginnings {
		n := &node{world: world{}.clone()}
		if beginning.held {
			n.core.hold(Holder{Name: runs[0]})
			n.world.holds[runs[0]] = true
		}
		g.begin(&n.core)
		err := n.observe()
		for _, then := range beginning.then {
			err = errors.Join(err, then(n), n.observe())
		}
		if err != nil {
			return total, err
		}

		count, err := g.walk(n, depth, nil)
		total += count
		if err != nil {
			return total, err
		}
	}

	return total, nil
}

// TestModel lets the gate's events come in every order and checks, after each,
// that the daemon is never up while somebody holds it, that there are never
// two, that nothing is stopped that is in flight or called, that each hold is
// decided and each release counts.
func TestModel(t *testing.T) {
	count, err := sound().explore(modelDepth)
	require.NoError(t, err)
	t.Logf("%d interleavings of at most %d events", count, modelDepth)
}

// twins are gates that are broken on purpose, each in one event.
var twins = map[string]func(*gateUnderTest){
	"stops before it asks": func(g *gateUnderTest) {
		g.claim = func(c *core, holder Holder) (int, bool) {
			id, made := c.claim(holder)
			if c.state == Up {
				c.state = Stopping
			}
			return id, made
		}
	},
	"does not ask between two lives": func(g *gateUnderTest) {
		g.claim = func(c *core, holder Holder) (int, bool) {
			if c.state == Down {
				c.hold(holder)
				return c.lastID, true
			}
			return c.claim(holder)
		}
	},
	"in force while a start is under way": func(g *gateUnderTest) {
		g.answered = func(c *core, id int, clear bool) bool {
			counts := c.answered(id, clear)
			claim := c.find(id)
			if claim != nil && clear && c.state == Starting {
				claim.stage = holding
			}
			return counts
		}
	},
	"an answer of the database counts for the daemon": func(
		g *gateUnderTest) {

		g.answered = func(c *core, id int, clear bool) bool {
			if claim := c.find(id); claim != nil {
				claim.about = c.state
			}
			return c.answered(id, clear)
		}
	},
	"stops a called-off start that came up unasked": func(
		g *gateUnderTest) {

		g.started = func(c *core) {
			c.state = Up
			c.settle()
		}
	},
	"stops although busy": func(g *gateUnderTest) {
		g.answered = func(c *core, id int, _ bool) bool {
			return c.answered(id, true)
		}
	},
	"opens on any release": func(g *gateUnderTest) {
		g.release = func(c *core, _ string) {
			c.claims = nil
			c.settle()
		}
	},
	"loses a release before the hold is in force": func(g *gateUnderTest) {
		g.release = func(c *core, name string) {
			i := c.indexOf(name)
			if i >= 0 && c.claims[i].stage == holding {
				c.release(name)
			}
		}
	},
	"a hold that was given up stays": func(g *gateUnderTest) {
		g.abandon = func(*core, int) {}
	},
	"starts again under a hold": func(g *gateUnderTest) {
		g.rested = func(c *core) {
			c.rested()
			if c.state == Down {
				c.state = Starting
			}
		}
	},
	"starts again at once after a crash": func(g *gateUnderTest) {
		g.exited = func(c *core) bool {
			crashed := c.exited()
			c.rested()
			return crashed
		}
	},
	"does not start again after a crash": func(g *gateUnderTest) {
		g.rested = func(*core) {}
	},
	"does not wait for calls": func(g *gateUnderTest) {
		g.enter = (*core).admits
		g.leave = func(*core) {}
	},
	"admits calls while a hold is asked for": func(g *gateUnderTest) {
		g.enter = func(c *core) bool {
			if c.state == Up {
				c.calls++
			}
			return c.state == Up
		}
	},
	"asks at the shutdown": func(g *gateUnderTest) {
		g.end = func(c *core) { c.ended = true }
	},
	"forgets a call's end": func(g *gateUnderTest) {
		g.leave = func(*core) {}
	},
	"joins nobody": func(g *gateUnderTest) {
		g.join = func(c *core, holder Holder) bool {
			c.hold(holder)
			return true
		}
	},
	"two daemons": func(g *gateUnderTest) {
		g.begin = func(c *core) {
			c.begin()
			c.state = Starting
		}
		g.started = func(c *core) {
			c.started()
			if c.calls == 0 && len(c.claims) == 0 {
				c.state = Starting
			}
		}
	},
}

// TestModelNoticesBrokenGates checks that the model could have failed: it
// notices each gate that is broken on purpose.
func TestModelNoticesBrokenGates(t *testing.T) {
	for name, breakIt := range twins {
		t.Run(name, func(t *testing.T) {
			g := sound()
			breakIt(&g)
			_, err := g.explore(modelDepth)
			require.Error(t, err)
			t.Log(err)
		})
	}
}
