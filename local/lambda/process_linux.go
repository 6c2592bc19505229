package lambda

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// childAttributes puts a process in a group of its own, and has the kernel kill it when the thread that started it
// ends, be it by kill -9 (prctl(2), PR_SET_PDEATHSIG).
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// peakMemoryMB returns the most memory the process has used so far, in MB rounded up; 0 if that is not known.
// Source: proc_pid_status(5), VmHWM in kB.
func peakMemoryMB(pid int) int {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0 // the process has just ended
	}
	_, after, ok := bytes.Cut(status, []byte("VmHWM:"))
	fields := bytes.Fields(after)
	if !ok || len(fields) == 0 {
		return 0
	}
	kB, err := strconv.Atoi(string(fields[0]))
	if err != nil {
		return 0
	}
	return (kB + 1023) / 1024
}
