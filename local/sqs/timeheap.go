package sqs

import (
	"container/heap"
	"time"
)

// timeHeap orders messages by one of their times, the earliest first. Each message stores its index, so that any
// message can be removed.
type timeHeap struct {
	messages []*message
	when     func(*message) time.Time
	index    func(*message) *int
}

func (h *timeHeap) Len() int           { return len(h.messages) }
func (h *timeHeap) Less(i, j int) bool { return h.when(h.messages[i]).Before(h.when(h.messages[j])) }

func (h *timeHeap) Swap(i, j int) {
	h.messages[i], h.messages[j] = h.messages[j], h.messages[i]
	*h.index(h.messages[i]), *h.index(h.messages[j]) = i, j
}

// Push and Pop implement heap.Interface. Callers use add and remove.
func (h *timeHeap) Push(x any) {
	m := x.(*message)
	*h.index(m) = len(h.messages)
	h.messages = append(h.messages, m)
}

func (h *timeHeap) Pop() any {
	last := len(h.messages) - 1
	m := h.messages[last]
	h.messages[last] = nil
	h.messages = h.messages[:last]
	return m
}

func (h *timeHeap) add(m *message) { heap.Push(h, m) }

func (h *timeHeap) remove(m *message) { heap.Remove(h, *h.index(m)) }

// earliest returns the message with the earliest time, or nil.
func (h *timeHeap) earliest() *message {
	if len(h.messages) == 0 {
		return nil
	}
	return h.messages[0]
}
