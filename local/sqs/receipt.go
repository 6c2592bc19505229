package sqs

import (
	"encoding/base64"
	"encoding/binary"
)

// receipt is the content of a receipt handle: a message of a queue, and the number of one receive of it.
type receipt struct {
	queue        uint64
	message      uint64
	receiveCount uint32
}

const receiptVersion = 1

func (r receipt) handle() string {
	b := []byte{receiptVersion, 1, 1, 1} // AWS's begin with "AQEB", too
	b = binary.BigEndian.AppendUint64(b, r.queue)
	b = binary.BigEndian.AppendUint64(b, r.message)
	b = binary.BigEndian.AppendUint32(b, r.receiveCount)
	return base64.StdEncoding.EncodeToString(b)
}

// parseReceipt decodes the handle of a message of the queue with that nonce.
func parseReceipt(handle string, queue uint64) (receipt, *Error) {
	b, err := base64.StdEncoding.DecodeString(handle)
	if err != nil || len(b) != 24 || b[0] != receiptVersion {
		return receipt{}, newError("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
	}
	r := receipt{
		queue:        binary.BigEndian.Uint64(b[4:]),
		message:      binary.BigEndian.Uint64(b[12:]),
		receiveCount: binary.BigEndian.Uint32(b[20:]),
	}
	if r.queue != queue {
		return receipt{}, newError("ReceiptHandleIsInvalid", "The input receipt handle %q is not a valid receipt handle.",
			handle)
	}
	return r, nil
}
