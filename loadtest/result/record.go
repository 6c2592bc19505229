package result

import "strconv"

// Kind is what a record tells of.
type Kind uint8

const (
	// Opened: a connection is open. Connection, At; A: its slot; B: microseconds the connect took; Flag: Slow if it is
	// a client that does not read as it should.
	Opened Kind = iota + 1
	// Closed: a connection is closed. Connection, At; Flag: the cause; A: the close code if there was one; Text: details.
	Closed
	// Unopened: an attempt to connect failed. At; A: its slot; Flag: the cause, Peer or Harness; Text: the reason.
	Unopened
	// Published: a message was handed to the system. Broadcast, Connection (a client's), At: when it was; A: when it
	// should have been; B: its size in bytes; Flag: ByClient or ByQueue.
	Published
	// Unpublished: a message could not be handed over. Broadcast, At; A: when it should have been; Text: the reason.
	Unpublished
	// Answered: the system answered a publisher. Broadcast, Connection, At; Flag: the answer; Text: the broadcast's id
	// if acknowledged, the error code if refused.
	Answered
	// Delivered: a payload arrived whole. Connection, Broadcast, At.
	Delivered
	// Odd: something else arrived. Connection, At; Flag: what; A: its length in bytes; Broadcast: the message it was, if
	// B is 1.
	Odd

	lastKind = Odd
)

// Values of Record.Flag.
const (
	// Slow marks an Opened record of a client that reads slowly or not at all.
	Slow uint8 = 1

	// Causes of Closed and Unopened.

	Ended   uint8 = 1 // the run was over
	Moved   uint8 = 2 // the client left in order to reconnect (churn)
	Peer    uint8 = 3 // the system closed the connection or refused it
	Broken  uint8 = 4 // the network or the protocol failed
	Harness uint8 = 5 // the harness could not keep it or make it: a limit of this machine

	// Ways of publishing.

	ByClient uint8 = 1
	ByQueue  uint8 = 2

	// Answers.

	Acknowledged uint8 = 1
	Refused      uint8 = 2
	// Guessed is added to an answer that could belong to another message of the same publisher.
	Guessed uint8 = 128

	// Odd arrivals.

	Corrupt     uint8 = 1 // a payload of this run, changed on its way
	Foreign     uint8 = 2 // a payload of another run, or no payload of a load test
	StrayAnswer uint8 = 3 // an answer to somebody who had asked nothing
	Stale       uint8 = 4 // a payload of an earlier measurement on the same connections
)

// Record is one thing that happened. What a field means depends on Kind; fields without a meaning are 0.
type Record struct {
	Kind       Kind
	Flag       uint8
	Connection uint32 // counts every connection that a process opened, from 0
	Broadcast  uint32 // the event's number in the run's schedule, from 0
	At         int64  // microseconds since the Unix epoch
	A, B       int64
	Text       string
}

var kindNames = [...]string{"", "opened", "closed", "unopened", "published", "unpublished", "answered", "delivered",
	"odd"}

func (k Kind) String() string {
	if k >= 1 && k <= lastKind {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// CauseName returns a cause's name in a few words.
func CauseName(cause uint8) string {
	names := map[uint8]string{Ended: "end of run", Moved: "churn", Peer: "by the system", Broken: "broken",
		Harness: "by the harness"}
	return names[cause]
}
