package result

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync/atomic"

	"fanfare/loadtest/vitals"
)

const (
	// flushAt is the size in bytes at which a shard flushes its block. Blocks are larger by one record at most.
	flushAt = 32 << 10
	// maxText bounds the text of a record in bytes; longer ones are cut.
	maxText = 512
	// maxBlock is the size in bytes of the largest block that a reader accepts.
	maxBlock = 1 << 20
	// queued bounds the blocks that wait for the disk, 8 MiB in all. If it is reached, shards wait: nothing is dropped,
	// and the read lag of the harness includes the wait.
	queued = 256
	// spare bounds the blocks that are kept for reuse.
	spare = 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Writer writes one segment. It is safe for concurrent use; each Shard is used by one goroutine at a time.
type Writer struct {
	blocks  chan block
	done    chan struct{}
	free    chan []byte  // blocks for reuse
	records atomic.Int64 // deliveries and odd frames
	err     error        // read after done
	failed  atomic.Bool
}

type block struct {
	kind byte
	body []byte
}

// NewWriter starts a segment on w. The caller must Close the writer; w stays open.
func NewWriter(w io.Writer, c Conditions) (*Writer, error) {
	c.Version = Version
	head, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write results: %w", err)
	}
	writer := &Writer{blocks: make(chan block, queued), done: make(chan struct{}), free: make(chan []byte, spare)}
	go writer.drain(w)
	writer.blocks <- block{'S', head}
	return writer, nil
}

// drain writes the blocks until blocks is closed.
func (w *Writer) drain(out io.Writer) {
	defer close(w.done)
	var frame []byte
	for b := range w.blocks {
		if w.err == nil {
			frame = appendBlock(frame[:0], b.kind, b.body)
			if _, err := out.Write(frame); err != nil {
				w.err = fmt.Errorf("write results: %w", err)
				w.failed.Store(true)
			}
		}
		if b.kind == 'E' {
			select {
			case w.free <- b.body[:0]:
			default:
			}
		}
	}
}

func appendBlock(dst []byte, kind byte, body []byte) []byte {
	start := len(dst)
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(len(body)))
	dst = append(dst, body...)
	sum := crc32.Update(crc32.Checksum(dst[start:start+1], castagnoli), castagnoli, body)
	return binary.LittleEndian.AppendUint32(dst, sum)
}

// Failed reports whether writing has failed, so that a run can stop early. Close returns the error.
func (w *Writer) Failed() bool { return w.failed.Load() }

// Sample writes a sample of the harness's vitals.
func (w *Writer) Sample(s vitals.Sample) error {
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	w.blocks <- block{'V', body}
	return nil
}

// Records returns the number of deliveries and odd frames flushed so far.
func (w *Writer) Records() int64 { return w.records.Load() }

// Abandon stops without an End, as a killed process does.
func (w *Writer) Abandon() error {
	close(w.blocks)
	<-w.done
	return w.err
}

// Close ends the segment and returns the first error. All shards must have been flushed before, and nothing may be
// written afterwards.
func (w *Writer) Close(e End) error {
	e.Records = w.records.Load()
	body, err := json.Marshal(e)
	if err == nil {
		w.blocks <- block{'Z', body}
	}
	return errors.Join(w.Abandon(), err)
}

// Shard buffers records for a Writer. It is not safe for concurrent use.
type Shard struct {
	w          *Writer
	buf        []byte
	at         int64
	connection uint32
	broadcast  uint32
	counted    int64
}

// Shard returns a new shard of the segment.
func (w *Writer) Shard() *Shard { return &Shard{w: w} }

// Delivered adds a Delivered record. It is the hot path.
func (s *Shard) Delivered(connection, broadcast uint32, at int64) {
	s.head(Delivered, connection, broadcast, at)
	s.counted++
	if len(s.buf) >= flushAt {
		s.Flush()
	}
}

// Add adds a record of any kind.
func (s *Shard) Add(r Record) {
	s.head(r.Kind, r.Connection, r.Broadcast, r.At)
	if r.Kind == Odd || r.Kind == Delivered {
		s.counted++
	}
	if r.Kind != Delivered {
		s.buf = append(s.buf, r.Flag)
		s.buf = binary.AppendVarint(s.buf, r.A)
		s.buf = binary.AppendVarint(s.buf, r.B)
		text := r.Text[:min(len(r.Text), maxText)]
		s.buf = binary.AppendUvarint(s.buf, uint64(len(text)))
		s.buf = append(s.buf, text...)
	}
	if len(s.buf) >= flushAt {
		s.Flush()
	}
}

// head adds the fields that all kinds have.
func (s *Shard) head(k Kind, connection, broadcast uint32, at int64) {
	if s.buf == nil {
		select {
		case s.buf = <-s.w.free:
		default:
			s.buf = make([]byte, 0, flushAt+maxText+64)
		}
	}
	s.buf = append(s.buf, byte(k))
	s.buf = binary.AppendVarint(s.buf, at-s.at)
	s.buf = binary.AppendVarint(s.buf, int64(connection)-int64(s.connection))
	s.buf = binary.AppendVarint(s.buf, int64(broadcast)-int64(s.broadcast))
	s.at, s.connection, s.broadcast = at, connection, broadcast
}

// Flush passes the buffered records to the writer. It waits while the queue of blocks is full.
func (s *Shard) Flush() {
	if len(s.buf) == 0 {
		return
	}
	s.w.records.Add(s.counted)
	s.w.blocks <- block{'E', s.buf}
	s.buf, s.at, s.connection, s.broadcast, s.counted = nil, 0, 0, 0, 0
}
