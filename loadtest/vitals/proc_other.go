//go:build !linux

package vitals

import "errors"

// RSS, Descriptors, ticks and Ports have no portable source: 0 means unknown.

func RSS() int64 { return 0 }

func Descriptors() int { return 0 }

func ticks() (busy, all float64) { return 0, 0 }

func Ports() int { return 0 }

// Hurry raises the priority of this process.
func Hurry() error { return errors.New("raise priority: only on Linux") }
