package dynamodb

import (
	"iter"
	"slices"
	"strings"
)

// row is an item in a table. It is never changed: a write puts another row in its place, so that a reader may use
// the rows that it found after it has left the lock.
type row struct {
	key  string // its rowKey: see schema.rowKey
	item item
	size int
	json string // the item as the API writes it, made once at the write
}

// maxBucket is how many rows a bucket holds before it is split. It is small enough that an insertion moves little,
// large enough that the list of buckets stays short.
const maxBucket = 512

// rowList keeps rows in the order of their keys: a list of buckets, each a sorted slice of rows, none of them empty.
// Finding costs two binary searches, walking nothing but the steps. It has no lock of its own.
type rowList struct {
	buckets [][]*row
	count   int
	size    int64 // of all items, in bytes
}

func (r *row) compareKey(key string) int { return strings.Compare(r.key, key) }

// search returns where key is or would be: the bucket and the index in it. The bucket may be len(buckets).
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

// put stores the row in place of the one with its key.
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

// from yields the rows whose keys are low or greater, upwards.
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

// below yields the rows whose keys are less than high, downwards.
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
