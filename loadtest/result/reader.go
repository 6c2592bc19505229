package result

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"

	"fanfare/loadtest/vitals"
)

// File is an open result file. It is safe for concurrent use.
type File struct {
	Name     string
	Segments []*Segment
	// Cut reports whether the file ends within a block, as after a crash. All blocks before are read.
	Cut bool

	file *os.File
}

// Segment has the results of one process and one measurement.
type Segment struct {
	Conditions Conditions
	End        *End // nil if the segment is truncated
	Samples    []vitals.Sample
	Ledger     *Ledger // of the whole run, if it is in this segment

	source io.ReaderAt
	events []extent
}

// extent is the place of a block of records in the file.
type extent struct {
	offset int64
	length int
}

// Open opens a result file and checks all blocks. The caller must Close it.
func Open(name string) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open results: %w", err)
	}
	file := &File{Name: name, file: f}
	if err := file.index(bufio.NewReaderSize(f, 256<<10), f); err != nil {
		f.Close()
		return nil, fmt.Errorf("read results %s: %w", name, err)
	}
	return file, nil
}

// Close closes the file. The records of its segments cannot be read afterwards.
func (f *File) Close() error { return f.file.Close() }

var errForeign = errors.New("not a result file of loadtest")

// index reads all blocks and keeps the places of those with records.
func (f *File) index(r *bufio.Reader, source io.ReaderAt) error {
	var (
		offset  int64
		body    []byte
		segment *Segment
	)
	for {
		kind, next, length, err := readBlock(r, body)
		body = next
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, io.ErrUnexpectedEOF) && segment != nil {
			f.Cut = true
			break
		}
		if err != nil && segment == nil {
			return errForeign
		}
		if err != nil {
			return fmt.Errorf("block at byte %d: %w", offset, err)
		}
		if segment == nil && kind != 'S' {
			return errForeign
		}
		switch kind {
		case 'S':
			segment = &Segment{source: source}
			if err := json.Unmarshal(body, &segment.Conditions); err != nil {
				return fmt.Errorf("decode start of segment: %w", err)
			}
			if v := segment.Conditions.Version; v != Version {
				return fmt.Errorf("got file format %d, want %d", v, Version)
			}
			f.Segments = append(f.Segments, segment)
		case 'E':
			segment.events = append(segment.events, extent{offset + int64(length-len(body)-4), len(body)})
		case 'V':
			var s vitals.Sample
			if err := json.Unmarshal(body, &s); err != nil {
				return fmt.Errorf("decode vitals: %w", err)
			}
			segment.Samples = append(segment.Samples, s)
		case 'L':
			if err := segment.readLedger(body); err != nil {
				return err
			}
		case 'Z':
			segment.End = new(End)
			if err := json.Unmarshal(body, segment.End); err != nil {
				return fmt.Errorf("decode end of segment: %w", err)
			}
		default:
			return fmt.Errorf("unknown block %q", kind)
		}
		offset += int64(length)
	}
	if len(f.Segments) == 0 {
		return errForeign
	}
	return nil
}

// readBlock reads and checks one block. The body is in the memory of buf if that is large enough. length is the length
// of the whole block.
func readBlock(r *bufio.Reader, buf []byte) (kind byte, body []byte, length int, err error) {
	kind, err = r.ReadByte()
	if err != nil {
		return 0, buf, 0, err
	}
	size, err := binary.ReadUvarint(r)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, buf, 0, err
	}
	if size > maxBlock {
		return 0, buf, 0, errForeign
	}
	if uint64(cap(buf)) < size+4 {
		buf = make([]byte, size+4)
	}
	buf = buf[:size+4]
	if _, err := io.ReadFull(r, buf); err != nil {
		return 0, buf, 0, io.ErrUnexpectedEOF
	}
	body = buf[:size]
	sum := crc32.Update(crc32.Checksum([]byte{kind}, castagnoli), castagnoli, body)
	if sum != binary.LittleEndian.Uint32(buf[size:]) {
		return 0, buf, 0, errors.New("checksum mismatch")
	}
	return kind, body, 1 + uvarintLen(size) + int(size) + 4, nil
}

func uvarintLen(v uint64) int { return len(binary.AppendUvarint(nil, v)) }

// Each calls f for every record of the segment, in the order of the file. f must not keep r. Each returns the first
// error of f.
func (s *Segment) Each(f func(r *Record) error) error {
	var buf []byte
	for _, e := range s.events {
		if cap(buf) < e.length {
			buf = make([]byte, e.length)
		}
		buf = buf[:e.length]
		if _, err := s.source.ReadAt(buf, e.offset); err != nil {
			return fmt.Errorf("read results: %w", err)
		}
		if err := decode(buf, f); err != nil {
			return err
		}
	}
	return nil
}

var errRecord = errors.New("read results: invalid record")

// decode calls f for every record of a block.
func decode(b []byte, f func(r *Record) error) error {
	var r Record
	for len(b) > 0 {
		r = Record{Kind: Kind(b[0]), At: r.At, Connection: r.Connection, Broadcast: r.Broadcast}
		if r.Kind == 0 || r.Kind > lastKind {
			return errRecord
		}
		b = b[1:]
		var at, connection, broadcast int64
		var ok bool
		if at, b, ok = varint(b); !ok {
			return errRecord
		}
		if connection, b, ok = varint(b); !ok {
			return errRecord
		}
		if broadcast, b, ok = varint(b); !ok {
			return errRecord
		}
		r.At += at
		connection += int64(r.Connection)
		broadcast += int64(r.Broadcast)
		if connection < 0 || connection > math.MaxUint32 || broadcast < 0 || broadcast > math.MaxUint32 {
			return errRecord
		}
		r.Connection, r.Broadcast = uint32(connection), uint32(broadcast)
		if r.Kind != Delivered {
			if len(b) == 0 {
				return errRecord
			}
			r.Flag, b = b[0], b[1:]
			if r.A, b, ok = varint(b); !ok {
				return errRecord
			}
			if r.B, b, ok = varint(b); !ok {
				return errRecord
			}
			size, n := binary.Uvarint(b)
			if n <= 0 || size > maxText || uint64(len(b)-n) < size {
				return errRecord
			}
			r.Text, b = string(b[n:n+int(size)]), b[n+int(size):]
		}
		if err := f(&r); err != nil {
			return err
		}
	}
	return nil
}

// varint decodes a varint at the beginning of b. It is false if there is none.
func varint(b []byte) (v int64, rest []byte, ok bool) {
	// Most differences fit into one byte.
	if len(b) > 0 && b[0] < 0x80 {
		return int64(b[0]>>1) ^ -int64(b[0]&1), b[1:], true
	}
	v, n := binary.Varint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}
