package lambda

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// childAttributes puts a process in its own process group. The kernel kills the process when the thread that started it
// ends, even by SIGKILL (prctl(2), PR_SET_PDEATHSIG).
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// peakMemoryMB returns the process's peak memory in MB, rounded up; 0 if unknown.
// Source: proc_pid_status(5), VmHWM in kB.
func peakMemoryMB(pid int) int {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0 // the process has ended
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
