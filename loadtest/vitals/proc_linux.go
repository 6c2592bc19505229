package vitals

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// RSS returns the resident bytes of this process.
func RSS() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// Descriptors returns how many descriptors the process holds.
func Descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries) - 1 // less the one that reads
}

// ticks reads the machine's processor time so far, in ticks of the kernel (proc_stat(5)).
func ticks() (busy, all float64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	var user, nice, system, idle, iowait, irq, softirq, steal float64
	if _, err := fmt.Sscanf(string(b), "cpu %f %f %f %f %f %f %f %f", &user, &nice, &system, &idle, &iowait, &irq,
		&softirq, &steal); err != nil {
		return 0, 0
	}
	busy = user + nice + system + irq + softirq + steal
	return busy, busy + idle + iowait
}

// Ports returns how many local ports the kernel gives to outgoing connections, per local and remote address.
func Ports() int {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0
	}
	var low, high int
	if _, err := fmt.Sscan(string(b), &low, &high); err != nil {
		return 0
	}
	return high - low + 1
}

// hurried is the nice value of a process in a hurry.
const hurried = -10

// Hurry raises the priority of this process, of those that it starts from now on, and, against other sessions, of its
// session.
func Hurry() error {
	// On Linux a nice value belongs to a thread, and new threads have that of the one that starts them.
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("raise priority: %w", err)
	}
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, id, hurried); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("raise priority: %w", err)
		}
	}
	// Where the kernel groups processes by session, their nice values count within the group only, which has one of its
	// own (sched(7), "The autogroup feature").
	err = os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(hurried)), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("raise priority: %w", err)
	}
	return nil
}
