package result

import "strconv"

// Kind is the kind of event of a record.
type Kind uint8

// The kinds of records, with the fields that they use.
const (
	// Opened: a connection is open. Connection, At; A: its slot; B: duration of the connect in microseconds; Flag: Slow
	// for a slow client.
	Opened Kind = iota + 1
	// Closed: a connection is closed. Connection, At; Flag: the cause; A: the close code if there was one; Text: details.
	Closed
	// Unopened: an attempt to connect failed. At; A: its slot; Flag: the cause, Peer or Harness; Text: the reason.
	Unopened
	// Published: a message was published. Broadcast, Connection (if by a client), At; A: the intended time; B: its size in
	// bytes; Flag: ByClient or ByQueue.
	Published
	// Unpublished: a message could not be published. Broadcast, At; A: the intended time; Text: the reason.
	Unpublished
	// Answered: the system answered a publisher. Broadcast, Connection, At; Flag: the answer; Text: the id of the
	// broadcast or the code of the error.
	Answered
	// Delivered: an intact payload arrived. Connection, Broadcast, At.
	Delivered
	// Odd: any other frame arrived. Connection, At; Flag: the kind of frame; A: its length in bytes; Broadcast: its
	// message, if B is 1.
	Odd

	lastKind = Odd
)

// Values of Record.Flag.
const (
	// Slow marks the Opened record of a client that reads slowly or not at all.
	Slow uint8 = 1

	// Causes of Closed and Unopened.

	Ended   uint8 = 1 // the run ended
	Moved   uint8 = 2 // the client closed it to reconnect (churn)
	Peer    uint8 = 3 // the system closed or refused the connection
	Broken  uint8 = 4 // the network or the protocol failed
	Harness uint8 = 5 // the harness could not make or keep it: a limit of this machine

	// Ways of publishing.

	ByClient uint8 = 1
	ByQueue  uint8 = 2

	// Answers.

	Acknowledged uint8 = 1
	Refused      uint8 = 2
	// Guessed is added to an answer that could belong to another message of the same publisher.
	Guessed uint8 = 128

	// Odd frames.

	Corrupt     uint8 = 1 // a damaged payload of this run
	Foreign     uint8 = 2 // a payload of another run, or any other text
	StrayAnswer uint8 = 3 // an answer to a connection without an unanswered message
	Stale       uint8 = 4 // a payload of an earlier measurement on the same connections
)

// Record is one event. The meaning of the fields depends on Kind; unused fields are 0.
type Record struct {
	Kind       Kind
	Flag       uint8
	Connection uint32 // number of the connection in its process, from 0
	Broadcast  uint32 // number of the message in the run, from 0
	At         int64  // microseconds since the Unix epoch
	A, B       int64
	Text       string
}

var kindNames = [...]string{"", "opened", "closed", "unopened", "published", "unpublished", "answered", "delivered",
	"odd"}

// String returns the name of the kind.
func (k Kind) String() string {
	if k >= 1 && k <= lastKind {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// CauseName returns the name of a cause of Closed or Unopened, "" for others.
func CauseName(cause uint8) string {
	switch cause {
	case Ended:
		return "end of run"
	case Moved:
		return "churn"
	case Peer:
		return "by the system"
	case Broken:
		return "broken"
	case Harness:
		return "by the harness"
	}
	return ""
}
