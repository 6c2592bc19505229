package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The defaults of Keys.
const (
	defaultFresh = 10 * time.Minute
	defaultStale = time.Hour
	defaultPause = 30 * time.Second
	defaultRetry = 5 * time.Second

	defaultTimeout = 3 * time.Second // an authorizer has ten in all
)

// ErrNoKeys is that no keys could be fetched: tokens can be neither accepted nor refused.
var ErrNoKeys = errors.New("the keys that verify tokens are not to be had")

// Keys are the keys that verify tokens, fetched from where they are kept when they are needed. They run no goroutine: a
// Lambda process sleeps between two invocations. However many tokens come, good and bad, keys are fetched one call at a
// time, at most once in Fresh while all is well, once in Pause for tokens that no key verifies, and once in Retry while
// they cannot be had. Make them with NewKeys; they are safe for concurrent use.
type Keys struct {
	// Fetch gets the present keys. Its context ends after Timeout.
	Fetch func(ctx context.Context) ([]jose.JSONWebKey, error)
	// Timeout bounds one fetch.
	Timeout time.Duration
	// Fresh is how long keys are used without asking again. A key that the issuer has withdrawn is trusted so long.
	Fresh time.Duration
	// Stale is how long keys are used at most, while newer ones cannot be had.
	Stale time.Duration
	// Pause is the least time between two fetches for tokens that no key verifies: their key may be new.
	Pause time.Duration
	// Retry is the least time between two fetches after one that failed.
	Retry time.Duration
	// Now is the time; nil means time.Now.
	Now func() time.Time
	// Report is told of every fetch that failed; nil means nobody is.
	Report func(error)

	turn chan struct{} // holds a token for whoever fetches

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // when keys were
	tried   time.Time // when the last fetch began
	failure error     // of the last fetch
}

// NewKeys returns keys that are yet to be fetched.
func NewKeys(fetch func(ctx context.Context) ([]jose.JSONWebKey, error)) *Keys {
	return &Keys{Fetch: fetch, Timeout: defaultTimeout, Fresh: defaultFresh, Stale: defaultStale, Pause: defaultPause, Retry: defaultRetry, turn: make(chan struct{}, 1)}
}

// Find tells whether a key verifies a token. When none of those at hand does, it asks once whether there are newer ones,
// if it may.
func (k *Keys) Find(ctx context.Context, verifies func(jose.JSONWebKey) bool) (bool, error) {
	keys, err := k.current(ctx, k.outdated)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(keys, verifies) {
		return true, nil
	}
	newer, err := k.current(ctx, k.mayBeNewer)
	if err != nil || len(newer) > 0 && len(keys) > 0 && &newer[0] == &keys[0] {
		return false, err
	}
	return slices.ContainsFunc(newer, verifies), nil
}

// outdated tells whether it is time to fetch; k.mu is held.
func (k *Keys) outdated(now time.Time) bool {
	return now.Sub(k.fetched) >= k.Fresh && (k.failure == nil || now.Sub(k.tried) >= k.Retry)
}

// mayBeNewer tells whether it is worth to fetch for a token that no key verifies; k.mu is held.
func (k *Keys) mayBeNewer(now time.Time) bool { return now.Sub(k.tried) >= k.Pause }

// current returns the keys, fetched before if they are due for it.
func (k *Keys) current(ctx context.Context, due func(now time.Time) bool) ([]jose.JSONWebKey, error) {
	if keys, ok, err := k.atHand(due); ok {
		return keys, err
	}
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrNoKeys, ctx.Err())
	}
	// Another may have fetched them meanwhile.
	if keys, ok, err := k.atHand(due); ok {
		return keys, err
	}
	began := k.now()
	fetching, cancel := context.WithTimeout(ctx, k.Timeout)
	defer cancel()
	keys, err := k.Fetch(fetching)
	if err == nil && len(keys) == 0 {
		err = errors.New("there are none")
	}
	if err != nil && k.Report != nil {
		k.Report(err)
	}
	k.mu.Lock()
	k.tried, k.failure = began, err
	if err == nil {
		k.keys, k.fetched = keys, began
	}
	k.mu.Unlock()
	keys, _, err = k.atHand(func(time.Time) bool { return false })
	return keys, err
}

// atHand returns what there is without fetching, unless that is due.
func (k *Keys) atHand(due func(now time.Time) bool) (keys []jose.JSONWebKey, ok bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	switch {
	case due(now):
		return nil, false, nil
	case k.keys == nil || now.Sub(k.fetched) >= k.Stale:
		return nil, true, fmt.Errorf("%w: %w", ErrNoKeys, k.failure)
	}
	return k.keys, true, nil
}

func (k *Keys) now() time.Time {
	if k.Now != nil {
		return k.Now()
	}
	return time.Now()
}
