package regtest

import (
	"fmt"
	"net"
	"sync"
)

// maxPortTries bounds the search for a port that was not handed out before.
const maxPortTries = 100

// handedOut are the addresses this process gave to a node: the system may
// offer a port again before its node listens.
var handedOut = struct {
	sync.Mutex
	addresses map[string]bool
}{addresses: make(map[string]bool)}

// freeAddress returns an address of 127.0.0.1 that the system chose and that
// nobody listens on.
func freeAddress() (string, error) {
	handedOut.Lock()
	defer handedOut.Unlock()

	for range maxPortTries {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		address := listener.Addr().String()
		if err := listener.Close(); err != nil {
			return "", err
		}
		if !handedOut.addresses[address] {
			handedOut.addresses[address] = true

			return address, nil
		}
	}

	return "", fmt.Errorf("no unused port in %d tries", maxPortTries)
}

// freeAddresses fills each of the given strings with an address of its own.
func freeAddresses(addresses ...*string) error {
	for _, address := range addresses {
		free, err := freeAddress()
		if err != nil {
			return err
		}
		*address = free
	}

	return nil
}
