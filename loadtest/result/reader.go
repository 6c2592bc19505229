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
		if kind == 'S' {
			segment = &Segment{source: source}
			f.Segments = append(f.Segments, segment)
		}
		if err := segment.add(kind, body, offset+int64(length-len(body)-4)); err != nil {
			return err
		}
		offset += int64(length)
	}
	if len(f.Segments) == 0 {
		return errForeign
	}
	return nil
}

// add adds one block to the segment. offset is the place of its body in the file.
func (s *Segment) add(kind byte, body []byte, offset int64) error {
	switch kind {
	case 'S':
		if err := json.Unmarshal(body, &s.Conditions); err != nil {
			return fmt.Errorf("decode start of segment: %w", err)
		}
		if v := s.Conditions.Version; v != Version {
			return fmt.Errorf("got file format %d, want %d", v, Version)
		}
	case 'E':
		s.events = append(s.events, extent{offset, len(body)})
	case 'V':
		var sample vitals.Sample
		if err := json.Unmarshal(body, &sample); err != nil {
			return fmt.Errorf("decode vitals: %w", err)
		}
		s.Samples = append(s.Samples, sample)
	case 'L':
		return s.readLedger(body)
	case 'Z':
		s.End = new(End)
		if err := json.Unmarshal(body, s.End); err != nil {
			return fmt.Errorf("decode end of segment: %w", err)
		}
	default:
		return fmt.Errorf("unknown block %q", kind)
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
		var ok bool
		if b, ok = r.decode(b); !ok {
			return errRecord
		}
		if err := f(&r); err != nil {
			return err
		}
	}
	return nil
}

// decode replaces r, the previous record, by the record at the beginning of b, which is not empty, and returns the
// bytes after it. It is false for an invalid record.
func (r *Record) decode(b []byte) (rest []byte, ok bool) {
	*r = Record{Kind: Kind(b[0]), At: r.At, Connection: r.Connection, Broadcast: r.Broadcast}
	if r.Kind == 0 || r.Kind > lastKind {
		return nil, false
	}
	b = b[1:]
	var at, connection, broadcast int64
	if at, b, ok = varint(b); !ok {
		return nil, false
	}
	if connection, b, ok = varint(b); !ok {
		return nil, false
	}
	if broadcast, b, ok = varint(b); !ok {
		return nil, false
	}
	r.At += at
	connection += int64(r.Connection)
	broadcast += int64(r.Broadcast)
	if connection < 0 || connection > math.MaxUint32 || broadcast < 0 || broadcast > math.MaxUint32 {
		return nil, false
	}
	r.Connection, r.Broadcast = uint32(connection), uint32(broadcast)
	if r.Kind == Delivered {
		return b, true
	}
	return r.decodeDetails(b)
}

// decodeDetails decodes the fields that a Delivered record does not have.
func (r *Record) decodeDetails(b []byte) (rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, false
	}
	r.Flag, b = b[0], b[1:]
	if r.A, b, ok = varint(b); !ok {
		return nil, false
	}
	if r.B, b, ok = varint(b); !ok {
		return nil, false
	}
	size, n := binary.Uvarint(b)
	if n <= 0 || size > maxText || uint64(len(b)-n) < size {
		return nil, false
	}
	r.Text = string(b[n : n+int(size)])
	return b[n+int(size):], true
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
