package sqs

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of a message.
// Source: Amazon SQS Developer Guide, "Amazon SQS message quotas", and the SendMessage page of the API Reference.
const (
	MaxMessageBytes      = 1 << 20 // body and attributes of one message, and of all messages of a batch
	MaxBatchEntries      = 10
	MaxMessageAttributes = 10
	maxAttributeNameSize = 256
	maxDataTypeSize      = 256
	maxGroupIDSize       = 128
	maxDelay             = 900 * time.Second
)

// Message is a received message with all its attributes.
type Message struct {
	ID            string
	ReceiptHandle string
	Body          string
	MD5OfBody     string
	// MD5OfMessageAttributes is "" if there are no message attributes.
	MD5OfMessageAttributes string
	// Attributes holds the system attributes by SQS's names: SenderId, SentTimestamp, ApproximateReceiveCount,
	// ApproximateFirstReceiveTimestamp and, where they apply, AWSTraceHeader, MessageGroupId, DeadLetterQueueSourceArn.
	Attributes        map[string]string
	MessageAttributes map[string]MessageAttribute
}

// MessageAttribute is a message attribute set by the sender. DataType is String, Number or Binary, optionally with a
// label (".int"). The value of a Binary is in BinaryValue, other values are in StringValue.
type MessageAttribute struct {
	DataType    string
	StringValue string
	BinaryValue []byte
}

func (a MessageAttribute) isBinary() bool { return logicalType(a.DataType) == "Binary" }

func (a MessageAttribute) size() int {
	return len(a.DataType) + len(a.StringValue) + len(a.BinaryValue)
}

// logicalType returns a data type without its label.
func logicalType(dataType string) string {
	name, _, _ := strings.Cut(dataType, ".")
	return name
}

// outgoing is a valid message to be sent.
type outgoing struct {
	body                string
	md5Body             string
	attributes          map[string]MessageAttribute
	md5Attributes       string
	md5SystemAttributes string
	traceHeader         string
	groupID             string
	delay               *time.Duration // nil is the queue's
}

// illegalCharacter returns the first character of text that SQS refuses, and reports whether there is one.
// Allowed: #x9 #xA #xD #x20-#xD7FF #xE000-#xFFFD #x10000-#x10FFFF. Source: API Reference, SendMessage.
func illegalCharacter(text string) (rune, bool) {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c >= ' ' && c < utf8.RuneSelf || c == '\t' || c == '\n' || c == '\r' {
			continue
		}
		if c < ' ' {
			return rune(c), true
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 {
			if lone, ok := surrogateAt(text[i:]); ok {
				return lone, true
			}
			return r, true
		}
		if r == 0xFFFE || r == 0xFFFF {
			return r, true
		}
		i += size - 1
	}
	return 0, false
}

const allowedCharacters = "#x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]"

// readOutgoing reads the members that SendMessage and an entry of SendMessageBatch have in common. problem is an error
// of this message only; malformed members fail the request. size is the number of bytes that count against the limits:
// body and attributes, without system attributes.
func readOutgoing(in fields, traceHeader string) (out outgoing, size int, problem *Error) {
	body, ok := in.content("MessageBody")
	if !ok || body == "" {
		in.fail(missingParameter("MessageBody"))
		return out, 0, nil
	}
	out.body = body
	size = len(body)
	if c, bad := illegalCharacter(body); bad {
		problem = newError("InvalidMessageContents", "Invalid binary character '#x%X' was found in the message body, the "+
			"set of allowed characters is %s.", c, allowedCharacters)
	}
	note := func(err *Error) {
		if problem == nil {
			problem = err
		}
	}
	if seconds, ok := in.integer("DelaySeconds"); ok {
		delay := time.Duration(seconds) * time.Second
		if delay < 0 || delay > maxDelay {
			note(invalidValue(seconds, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900."))
		}
		out.delay = &delay
	}
	if in.has("MessageGroupId") {
		if out.groupID = in.text("MessageGroupId"); !groupIDPattern.MatchString(out.groupID) {
			note(invalidValue(out.groupID, "MessageGroupId",
				"MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length."))
		}
	}
	if in.has("MessageDeduplicationId") {
		note(invalidValue(in.text("MessageDeduplicationId"), "MessageDeduplicationId",
			"The request includes a parameter that is not valid for this queue type."))
	}
	attributes, err := readAttributes(in, "MessageAttributes")
	note(err)
	if len(attributes) > MaxMessageAttributes {
		note(invalidParameter("Number of message attributes [%d] exceeds the allowed maximum [%d].", len(attributes),
			MaxMessageAttributes))
	}
	for name, a := range attributes {
		size += len(name) + a.size()
	}
	system, err := readAttributes(in, "MessageSystemAttributes")
	note(err)
	note(out.setSystem(system, traceHeader))
	if problem == nil {
		out.attributes = attributes
		out.md5Attributes = md5OfAttributes(attributes)
		sum := md5.Sum([]byte(body))
		out.md5Body = hex.EncodeToString(sum[:])
	}
	return out, size, problem
}

// setSystem sets the trace header, the only system attribute that can be sent. It overrides the trace header of the
// HTTP request, which otherwise applies to every message of the request (AWS X-Ray Developer Guide, "Amazon SQS and AWS
// X-Ray").
func (out *outgoing) setSystem(system map[string]MessageAttribute, traceHeader string) *Error {
	out.traceHeader = traceHeader
	for name, a := range system {
		if name != "AWSTraceHeader" {
			return invalidParameter("Message system attribute name '%s' is invalid. Only AWSTraceHeader can be sent.", name)
		}
		if a.DataType != "String" {
			return invalidParameter("Message system attribute 'AWSTraceHeader' must be of type 'String', not '%s'.", a.DataType)
		}
		out.traceHeader = a.StringValue
	}
	out.md5SystemAttributes = md5OfAttributes(system)
	return nil
}

var (
	groupIDPattern       = regexp.MustCompile(`^[!-~]{1,128}$`)
	attributeNamePattern = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	reservedNamePattern  = regexp.MustCompile(`(?i)^(aws|amazon)\.`)
)

// checkAttributeName checks a name by the rules of the Developer Guide, "Amazon SQS message metadata".
func checkAttributeName(name string) *Error {
	wrong := ""
	switch {
	case name == "" || len(name) > maxAttributeNameSize:
		wrong = "It must have 1 to 256 characters."
	case !attributeNamePattern.MatchString(name):
		wrong = "It can contain alphanumeric characters, underscores, hyphens and periods."
	case reservedNamePattern.MatchString(name):
		wrong = "Names that start with 'AWS.' or 'Amazon.' are reserved."
	case strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, ".."):
		wrong = "It can neither start nor end with a period, nor have two in a row."
	default:
		return nil
	}
	return invalidParameter("Message (user) attribute name '%s' is invalid. %s", name, wrong)
}

func readAttributes(in fields, member string) (map[string]MessageAttribute, *Error) {
	names, objects := in.namedObjects(member)
	if len(names) == 0 {
		return nil, nil
	}
	attributes := make(map[string]MessageAttribute, len(names))
	var problem *Error
	for i, name := range names {
		a, err := readAttribute(objects[i], name)
		if err == nil {
			err = checkAttributeName(name)
		}
		if problem == nil {
			problem = err
		}
		attributes[name] = a
	}
	return attributes, problem
}

func readAttribute(in fields, name string) (MessageAttribute, *Error) {
	a := MessageAttribute{DataType: in.text("DataType")}
	text, hasText := in.content("StringValue")
	data, hasData := in.binary("BinaryValue")
	a.StringValue, a.BinaryValue = text, data
	lists := len(in.texts("StringListValues")) + len(in.texts("BinaryListValues"))
	kind := logicalType(a.DataType)
	switch {
	case a.DataType == "":
		return a, invalidParameter("Message (user) attribute '%s' must contain a non-empty attribute type.", name)
	case lists > 0:
		return a, newError("UnsupportedOperation", "Message attribute list values in SendMessage operation are not "+
			"supported.")
	case kind != "String" && kind != "Number" && kind != "Binary":
		return a, invalidParameter("The type of message (user) attribute '%s' is invalid. You must use only the following "+
			"supported type prefixes: Binary, Number, String.", name)
	case len(a.DataType) > maxDataTypeSize:
		return a, invalidParameter("The type of message (user) attribute '%s' is longer than %d bytes.", name,
			maxDataTypeSize)
	case hasText && hasData:
		return a, invalidParameter("Message (user) attribute '%s' has multiple values.", name)
	case kind == "Binary" && len(data) == 0, kind != "Binary" && text == "":
		return a, invalidParameter("Message (user) attribute '%s' must contain a non-empty value of type '%s'.", name, kind)
	case kind == "Number" && !isNumber(text):
		return a, invalidParameter("Can't cast the value of message (user) attribute '%s' to a number.", name)
	}
	if c, bad := illegalCharacter(text); bad {
		return a, newError("InvalidMessageContents", "Invalid binary character '#x%X' was found in the message attribute "+
			"'%s' value, the set of allowed characters is %s.", c, name, allowedCharacters)
	}
	return a, nil
}

var numberPattern = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$`)

// isNumber reports whether text is a number of up to 38 digits, between 10^-128 and 10^126 in magnitude.
// Source: Developer Guide, "Amazon SQS message metadata", Number.
func isNumber(text string) bool {
	if len(text) > 256 || !numberPattern.MatchString(text) {
		return false
	}
	n, ok := new(big.Float).SetPrec(192).SetString(text)
	if !ok {
		return false
	}
	n.Abs(n)
	return n.Sign() == 0 || n.Cmp(leastNumber) >= 0 && n.Cmp(greatestNumber) <= 0
}

var (
	leastNumber, _    = new(big.Float).SetPrec(192).SetString("1e-128")
	greatestNumber, _ = new(big.Float).SetPrec(192).SetString("1e126")
)

// md5OfAttributes returns the digest of message attributes, or "" if there are none.
// Source: Developer Guide, "Calculating the MD5 message digest for message attributes".
func md5OfAttributes(attributes map[string]MessageAttribute) string {
	if len(attributes) == 0 {
		return ""
	}
	const transportString, transportBinary = 1, 2
	sum := md5.New()
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a := attributes[name]
		writeLengthPrefixed(sum, []byte(name))
		writeLengthPrefixed(sum, []byte(a.DataType))
		if a.isBinary() {
			sum.Write([]byte{transportBinary})
			writeLengthPrefixed(sum, a.BinaryValue)
		} else {
			sum.Write([]byte{transportString})
			writeLengthPrefixed(sum, []byte(a.StringValue))
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func writeLengthPrefixed(h hash.Hash, data []byte) {
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
	h.Write(data)
}
