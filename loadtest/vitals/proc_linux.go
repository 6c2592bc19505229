package vitals

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// RSS returns the resident bytes of this process, 0 if unknown.
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

// Descriptors returns the number of open file descriptors, 0 if unknown.
func Descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries) - 1 // without the one that reads the directory
}

// ticks returns the processor time of the machine since it started, in kernel ticks (proc_stat(5)); 0 if unknown.
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

// Ports returns the number of local ports for outgoing connections, per pair of local and remote address; 0 if unknown.
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

// raisedNice is the nice value of a process with a raised priority.
const raisedNice = -10

// RaisePriority raises the priority of this process, of the processes that it starts afterwards, and of its session
// against other sessions.
func RaisePriority() error {
	// On Linux a nice value belongs to a thread; a new thread inherits that of its creator.
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("raise priority: %w", err)
	}
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, id, raisedNice); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("raise priority: %w", err)
		}
	}
	// If the kernel groups processes by session, their nice values count only within the group, which has a nice value of
	// its own (sched(7), "The autogroup feature").
	err = os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(raisedNice)), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("raise priority: %w", err)
	}
	return nil
}
