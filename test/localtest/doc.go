// Package localtest starts the local AWS (local/) with a stack in it for the length of a test.
//
//   - Start runs the program that users run, as a process: its addresses come from --ready-file. Run runs it to its
//     end.
//   - StartStack runs the same services within the test's process, for tests that need hooks which the program does
//     not have: counts of invocations, events of the API, faults that change between two lines of a test, and the
//     race and leak detectors on the whole emulator.
//
// Both embed Services: addresses, clients of AWS, and what tests of Fanfare's own stack ask of it. Program builds the
// programs that tests start.
package localtest
