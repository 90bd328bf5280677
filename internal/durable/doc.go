// Package durable writes files that are complete under their final name after
// any crash or power cut, and replaces nothing.
package durable
