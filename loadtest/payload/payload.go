// Package payload encodes the messages of a load test and recognises them when they are received.
//
// A payload is a JSON text with a fixed layout:
//
//	{"run":"1f9c0a7e","pub":3,"seq":17,"at":1764000000123456,"sum":"5d2fe8a1","pad":"…"}
//
// run is the name of the run, pub the publisher, seq the number of the message among the publisher's, from 0, at the
// intended time of publishing in microseconds since the Unix epoch, sum the CRC-32C of all other bytes of the text, and
// pad fills the payload to its size. With content of the user, "body" replaces "pad".
//
// The system under test must deliver the same bytes. Any change makes a payload corrupt, also a reordered key or a
// changed space, as the checksum covers them.
package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"unicode/utf8"
)

const (
	// MaxSize is the largest payload in bytes. API Gateway posts at most 128 KB to a WebSocket client
	// (API Gateway quotas for WebSocket APIs, "WebSocket frame/message size").
	MaxSize = 131072
	// MinSize is the smallest size in bytes that fits every header, with an empty pad.
	MinSize = len(prefix) + RunLength + len(pubKey) + 10 + len(seqKey) + 10 + len(atKey) + atLength + len(sumKey) +
		sumLength + len(padKey) + len(`"}`)
	// RunLength is the length of the name of a run in bytes.
	RunLength = 8

	prefix = `{"run":"`
	pubKey = `","pub":`
	seqKey = `,"seq":`
	atKey  = `,"at":`
	sumKey = `,"sum":"`
	padKey = `","pad":"`

	bodyKey   = `","body":`
	atLength  = 16 // microseconds since 1970, from 2001 to 2286
	sumLength = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header identifies a payload.
type Header struct {
	Run       string // RunLength characters
	Publisher uint32
	Sequence  uint32
	At        int64 // intended time, microseconds since the Unix epoch
}

// Maker encodes the payloads of one run. It is safe for concurrent use.
type Maker struct {
	run  string
	size int
	body []byte // JSON; nil means pad to size
}

// NewMaker returns a maker of payloads of exactly size bytes, MinSize to MaxSize. run must have RunLength characters
// that JSON does not escape.
func NewMaker(run string, size int) (*Maker, error) {
	if err := checkRun(run); err != nil {
		return nil, err
	}
	if size < MinSize || size > MaxSize {
		return nil, fmt.Errorf("payload of %d bytes: want %d to %d", size, MinSize, MaxSize)
	}
	return &Maker{run: run, size: size}, nil
}

// NewBodyMaker returns a maker of payloads with content of the user: unchanged if it is JSON, else as a JSON string.
// The whole payload must not exceed MaxSize.
func NewBodyMaker(run string, content []byte) (*Maker, error) {
	if err := checkRun(run); err != nil {
		return nil, err
	}
	if !utf8.Valid(content) {
		return nil, errors.New("payload file: not UTF-8, which text frames must be (RFC 6455, section 5.6)")
	}
	body := bytes.TrimSpace(content)
	if !json.Valid(body) {
		quoted, err := json.Marshal(string(content))
		if err != nil {
			return nil, fmt.Errorf("payload file: %w", err)
		}
		body = quoted
	}
	if size := MinSize + len(body); size > MaxSize {
		return nil, fmt.Errorf("payload file: payload of %d bytes with its header, want at most %d", size, MaxSize)
	}
	return &Maker{run: run, body: body}, nil
}

func checkRun(run string) error {
	if len(run) != RunLength {
		return fmt.Errorf("run %q: want %d characters", run, RunLength)
	}
	for _, c := range []byte(run) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return fmt.Errorf("run %q: want printable ASCII without quote and backslash", run)
		}
	}
	return nil
}

// Append appends one payload to dst and returns the extended slice.
func (m *Maker) Append(dst []byte, publisher, sequence uint32, at int64) []byte {
	start := len(dst)
	dst = append(dst, prefix...)
	dst = append(dst, m.run...)
	dst = append(dst, pubKey...)
	dst = strconv.AppendUint(dst, uint64(publisher), 10)
	dst = append(dst, seqKey...)
	dst = strconv.AppendUint(dst, uint64(sequence), 10)
	dst = append(dst, atKey...)
	dst = strconv.AppendInt(dst, at, 10)
	dst = append(dst, sumKey...)
	sum := len(dst)
	dst = append(dst, "00000000"...)
	if m.body != nil {
		dst = append(dst, bodyKey...)
		dst = append(dst, m.body...)
		dst = append(dst, '}')
	} else {
		dst = append(dst, padKey...)
		dst = appendPad(dst, m.size-(len(dst)-start)-len(`"}`), publisher, sequence)
		dst = append(dst, `"}`...)
	}
	putHex(dst[sum:sum+sumLength], checksum(dst[start:], sum-start))
	return dst
}

// appendPad appends n characters that differ between messages, so that the end of one message cannot replace that of
// another.
func appendPad(dst []byte, n int, publisher, sequence uint32) []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	x := uint64(publisher)<<32 | uint64(sequence) + 0x9e3779b97f4a7c15
	for n > 0 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		for k := 0; k < 10 && n > 0; k++ {
			dst = append(dst, letters[x>>(6*k)&63])
			n--
		}
	}
	return dst
}

// checksum returns the CRC-32C of b without the digits of the sum.
func checksum(b []byte, sum int) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, b[:sum]), castagnoli, b[sum+sumLength:])
}

func putHex(dst []byte, v uint32) {
	for i := range sumLength {
		dst[i] = "0123456789abcdef"[v>>(28-4*i)&15]
	}
}
