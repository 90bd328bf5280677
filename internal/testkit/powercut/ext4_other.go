//go:build !linux

package powercut

import "errors"

// ErrNoImages means that this machine cannot mount images.
var ErrNoImages = errors.New("needs Linux")

// Ext4 cannot be tried here.
func Ext4() (int, error) {
	return 0, ErrNoImages
}
