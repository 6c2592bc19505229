package dynamodb

import (
	"iter"
	"slices"
	"strings"
)

// row is an item in a table. It is immutable: a write replaces the row. Readers may therefore use rows after they have
// released the lock.
type row struct {
	key  string // see schema.rowKey
	item item
	size int
	json string // the item in the JSON of the API, built at the write
}

// maxBucket is the largest number of rows in a bucket. A small bucket makes insertions cheap, a large one keeps the
// list of buckets short.
const maxBucket = 512

// rowList holds rows sorted by key: a list of buckets, each a sorted slice of rows and never empty. Finding a row takes
// two binary searches. It is not safe for concurrent use.
type rowList struct {
	buckets [][]*row
	count   int
	size    int64 // of all items, in bytes
}

func (r *row) compareKey(key string) int { return strings.Compare(r.key, key) }

// search returns the bucket and the index in it of key, or of the position to insert it at. bucket may be len(buckets).
func (l *rowList) search(key string) (bucket, index int, found bool) {
	bucket, _ = slices.BinarySearchFunc(l.buckets, key, func(rows []*row, key string) int {
		return rows[len(rows)-1].compareKey(key)
	})
	if bucket == len(l.buckets) {
		return bucket, 0, false
	}
	index, found = slices.BinarySearchFunc(l.buckets[bucket], key, (*row).compareKey)
	return bucket, index, found
}

// get returns the row at key, or nil.
func (l *rowList) get(key string) *row {
	if bucket, index, found := l.search(key); found {
		return l.buckets[bucket][index]
	}
	return nil
}

// put stores the row. It replaces a row with the same key.
func (l *rowList) put(r *row) {
	bucket, index, found := l.search(r.key)
	l.size += int64(r.size)
	if found {
		l.size -= int64(l.buckets[bucket][index].size)
		l.buckets[bucket][index] = r
		return
	}
	l.count++
	if len(l.buckets) == 0 {
		l.buckets = [][]*row{{r}}
		return
	}
	if bucket == len(l.buckets) {
		bucket--
		index = len(l.buckets[bucket])
	}
	rows := slices.Insert(l.buckets[bucket], index, r)
	l.buckets[bucket] = rows
	if len(rows) > maxBucket {
		half := len(rows) / 2
		l.buckets = slices.Insert(l.buckets, bucket+1, slices.Clone(rows[half:]))
		clear(rows[half:])
		l.buckets[bucket] = rows[:half]
	}
}

// delete removes the row at key, if there is one.
func (l *rowList) delete(key string) {
	bucket, index, found := l.search(key)
	if !found {
		return
	}
	l.count--
	l.size -= int64(l.buckets[bucket][index].size)
	if len(l.buckets[bucket]) == 1 {
		l.buckets = slices.Delete(l.buckets, bucket, bucket+1)
		return
	}
	l.buckets[bucket] = slices.Delete(l.buckets[bucket], index, index+1)
}

// store stores the row at key. A nil row deletes the row at key, if there is one.
func (l *rowList) store(key string, stored *row) {
	if stored == nil {
		l.delete(key)
	} else {
		l.put(stored)
	}
}

// clone returns a copy that shares the rows.
func (l *rowList) clone() rowList {
	copied := *l
	copied.buckets = make([][]*row, len(l.buckets))
	for i, rows := range l.buckets {
		copied.buckets[i] = slices.Clone(rows)
	}
	return copied
}

// from yields the rows with keys of at least low, in ascending order.
func (l *rowList) from(low string) iter.Seq[*row] {
	return func(yield func(*row) bool) {
		bucket, index, _ := l.search(low)
		for ; bucket < len(l.buckets); bucket, index = bucket+1, 0 {
			for _, r := range l.buckets[bucket][index:] {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// below yields the rows with keys less than high, in descending order.
func (l *rowList) below(high string) iter.Seq[*row] {
	return func(yield func(*row) bool) {
		bucket, index, _ := l.search(high)
		for {
			for index--; index >= 0; index-- {
				if !yield(l.buckets[bucket][index]) {
					return
				}
			}
			if bucket--; bucket < 0 {
				return
			}
			index = len(l.buckets[bucket])
		}
	}
}
