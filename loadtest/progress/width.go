//go:build unix

package progress

import (
	"os"
	"syscall"
	"unsafe"
)

// width returns the columns of the terminal that f is, 0 if it is none (tty_ioctl(4), TIOCGWINSZ).
func width(f *os.File) int {
	var size struct{ rows, columns, x, y uint16 }
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return 0
	}
	if size.columns == 0 {
		return 80
	}
	return int(size.columns)
}
