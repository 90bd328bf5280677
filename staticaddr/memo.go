package staticaddr

import "sync"

// maxRemembered is the number of results that a memo keeps. Every step of a
// recovery asks for the same few again, and what is asked for takes some
// hundred microseconds to compute.
const maxRemembered = 64

// memo remembers the results that were asked for last. They are shared and must
// not be changed.
type memo[K comparable, V any] struct {
	mu    sync.Mutex
	known map[K]V

	// order holds the keys in the order in which they came.
	order []K
}

// get returns the result for a key, and makes it if it is not known.
func (m *memo[K, V]) get(key K, compute func() (V, error)) (V, error) {
	m.mu.Lock()
	known, ok := m.known[key]
	m.mu.Unlock()
	if ok {
		return known, nil
	}

	made, err := compute()
	if err != nil {
		return made, err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	if m.known == nil {
		m.known = make(map[K]V)
	}
	if _, ok := m.known[key]; !ok {
		m.known[key] = made
		m.order = append(m.order, key)
	}
	if len(m.order) > maxRemembered {
		delete(m.known, m.order[0])
		m.order = m.order[1:]
	}

	return made, nil
}
