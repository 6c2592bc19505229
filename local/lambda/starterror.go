package lambda

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// StartError means that a process of a function did not start or did not complete its init phase.
type StartError struct {
	Function string
	// Path is the executable.
	Path string
	// Type is the error type of an invocation that needed the process.
	Type string
	// Reason is the cause. Advice is a hint for the developer, or "".
	Reason, Advice string
	// Output is the end of the process's standard output and error: whole lines, at most 4 KiB.
	Output []byte
	// Err is the system's error or the *FunctionError that the process reported by init/error, or nil.
	Err error
}

func (e *StartError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "function %s did not start: %s: %s", e.Function, e.Path, e.Reason)
	if e.Advice != "" {
		b.WriteString("; " + e.Advice)
	}
	if out := bytes.TrimSpace(e.Output); len(out) > 0 {
		fmt.Fprintf(&b, "; its output ended with:\n%s", out)
	}
	return b.String()
}

func (e *StartError) Unwrap() error { return e.Err }

// invocationError returns the error of an invocation that needed the process.
func (e *StartError) invocationError(requestID string) *FunctionError {
	var failure *FunctionError
	if reported, ok := errors.AsType[*FunctionError](e.Err); ok {
		failure = &FunctionError{Type: reported.Type, Message: reported.Message, Payload: reported.Payload}
	} else {
		failure = platformError(e.Type, "RequestId: "+requestID+" Error: "+e.Reason)
	}
	failure.Cause = e
	return failure
}

// cannotExecute returns the reason why the kernel did not run the executable at path.
func cannotExecute(function, path string, err error) *StartError {
	e := &StartError{Function: function, Path: path, Type: TypeEntrypoint, Err: err}
	e.Reason = errorText(err)
	info, statErr := os.Stat(path)
	switch {
	case errors.Is(statErr, fs.ErrNotExist):
		e.Reason = "Couldn't find valid bootstrap(s): [" + path + "]"
		e.Advice = "build the function there: go build -o " + path
	case statErr != nil:
		e.Reason = errorText(statErr)
	case !info.Mode().IsRegular():
		e.Advice = "it is not a file"
	case info.Mode()&0o111 == 0:
		e.Advice = "it is not executable: chmod +x " + path
	case errors.Is(err, syscall.ENOEXEC):
		e.Advice = formatAdvice(path)
	case errors.Is(err, fs.ErrNotExist):
		e.Advice = "the file is there, but the interpreter it names (first line of a script, loader of a dynamically " +
			"linked binary) is not; build Go with CGO_ENABLED=0"
	}
	return e
}

// errorText returns the innermost text, without Go's "fork/exec /path" prefix.
func errorText(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err.Error()
	}
	return err.Error()
}

// machines are the GOARCH names of ELF machines.
var machines = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm",
}

// formatAdvice explains an "exec format error" by the file's format.
func formatAdvice(path string) string {
	build := fmt.Sprintf("build it for this machine: GOOS=%s GOARCH=%s go build -o %s",
		runtime.GOOS, runtime.GOARCH, path)
	file, err := elf.Open(path)
	if err != nil {
		return "it is neither a binary of this system nor a script that begins with #!; " + build
	}
	defer func() { _ = file.Close() }() // it is only read
	name, known := machines[file.Machine]
	if !known {
		name = file.Machine.String()
	}
	return "it was built for linux/" + name + "; " + build
}
