//go:build !linux

package vitals

import "errors"

// RSS, Descriptors, ticks and Ports return 0 for unknown: there is no portable source.

func RSS() int64 { return 0 }

func Descriptors() int { return 0 }

func ticks() (busy, all float64) { return 0, 0 }

func Ports() int { return 0 }

// RaisePriority returns an error: raising the priority is only implemented for Linux.
func RaisePriority() error { return errors.New("raise priority: not supported on this system") }
