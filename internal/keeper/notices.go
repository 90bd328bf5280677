package keeper

import (
	"fmt"
	"time"

	"github.com/looprecovery/looprecovery/states"
)

// Notices returns what stands in the way of safety, from memory: a status never
// waits for a disk.
func (k *Keeper) Notices() []states.Notice {
	var notices []states.Notice
	add := func(warning states.Warning, detail string) {
		notices = append(notices, states.Notice{
			Warning: warning, Detail: detail,
		})
	}

	k.mu.Lock()
	if k.missing != nil {
		notices = append(notices, *k.missing)
	}
	k.mu.Unlock()

	switch {
	case len(k.further()) == 0:
		add(states.WarnNoSecondPlace, "")

	case k.onOneDisk():
		add(states.WarnOneDisk, "")
	}
	for _, status := range k.Places() {
		if warning := status.warning(); warning != "" {
			add(warning, status.describe())
		}
		if status.Crowded {
			add(states.WarnPlaceCrowded, status.Place)
		}
		if status.Weak {
			add(states.WarnPlaceWeak, status.Place)
		}
	}
	for _, lag := range k.Behind() {
		add(states.WarnPlaceBehind, fmt.Sprintf("%s, since %s: %v",
			lag.Place, stamp(lag.Since), lag.Err))
	}
	for _, p := range k.places {
		if damage := p.damaged(); damage != "" {
			add(states.WarnDamaged, damage)
		}
	}

	return notices
}

// incomplete reports whether a backup is missing anywhere.
func (k *Keeper) incomplete() bool {
	k.mu.Lock()
	missing := k.missing != nil
	k.mu.Unlock()

	return missing || len(k.Behind()) > 0
}

// onOneDisk reports whether every further place was last seen on the file
// system of the data directory: then one disk takes all copies with it. A place
// of which that is not known counts as elsewhere.
func (k *Keeper) onOneDisk() bool {
	home := k.home().seen()
	if !home.known() {
		return false
	}
	for _, p := range k.further() {
		if p.seen().Device != home.Device {
			return false
		}
	}

	return true
}

// warning returns the code for a place that does not answer.
func (s *PlaceStatus) warning() states.Warning {
	switch s.State {
	case Silent:
		return states.WarnPlaceSilent

	case Empty:
		return states.WarnPlaceEmpty

	case Unreadable:
		return states.WarnPlaceUnreadable

	default:
		return ""
	}
}

// describe names the place and why it does not answer.
func (s *PlaceStatus) describe() string {
	return fmt.Sprintf("%s, since %s: %v", s.Place, stamp(s.Since), s.Err)
}

// stamp renders a time.
func stamp(when time.Time) string {
	return when.UTC().Format(time.RFC3339)
}

// damaged returns what the last check found wrong in the place.
func (p *place) damaged() string {
	p.mu.Lock()
	defer p.mu.Unlock()

	return p.damage
}
