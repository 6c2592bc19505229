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

	defaultTimeout = 3 * time.Second // the authorizer's timeout is ten seconds
)

// ErrNoKeys means that no keys could be fetched: tokens can be neither accepted nor refused.
var ErrNoKeys = errors.New("token keys unavailable")

// Keys fetches and caches the keys that verify tokens. It runs no goroutine, because a Lambda process is frozen between
// invocations. It makes one fetch at a time, for any number of tokens: at most one per Fresh normally, one per Pause
// for tokens that no key verifies, and one per Retry after a failure. NewKeys makes it. It is safe for concurrent use.
type Keys struct {
	// Fetch returns the present keys. Its context ends after Timeout.
	Fetch func(ctx context.Context) ([]jose.JSONWebKey, error)
	// Timeout bounds one fetch.
	Timeout time.Duration
	// Fresh is the time for which keys are used without another fetch. A withdrawn key is accepted for that time.
	Fresh time.Duration
	// Stale is the time after which keys are no longer used if no newer ones can be fetched.
	Stale time.Duration
	// Pause is the minimum time between two fetches for tokens that no key verifies; their key may be new.
	Pause time.Duration
	// Retry is the minimum time between a failed fetch and the next one.
	Retry time.Duration
	// Now returns the current time; nil means time.Now.
	Now func() time.Time
	// Report is called with the error of every failed fetch; it may be nil.
	Report func(error)

	fetching chan struct{} // of capacity 1; full during a fetch

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // start of the last successful fetch
	tried   time.Time // start of the last fetch
	failure error     // of the last fetch
}

// NewKeys returns keys with the default times. The first Find fetches them.
func NewKeys(fetch func(ctx context.Context) ([]jose.JSONWebKey, error)) *Keys {
	return &Keys{
		Fetch: fetch, Timeout: defaultTimeout, Fresh: defaultFresh, Stale: defaultStale, Pause: defaultPause,
		Retry: defaultRetry, fetching: make(chan struct{}, 1),
	}
}

// Find reports whether a key verifies a token. If no cached key does, it fetches once, unless Pause forbids it.
func (k *Keys) Find(ctx context.Context, verifies func(jose.JSONWebKey) bool) (bool, error) {
	keys, err := k.current(ctx, k.outdated)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(keys, verifies) {
		return true, nil
	}
	newer, err := k.current(ctx, k.mayBeNewer)
	if err != nil || &newer[0] == &keys[0] { // neither is empty
		return false, err
	}
	return slices.ContainsFunc(newer, verifies), nil
}

// outdated reports whether the cached keys must be fetched again; k.mu is held.
func (k *Keys) outdated(now time.Time) bool {
	return now.Sub(k.fetched) >= k.Fresh && (k.failure == nil || now.Sub(k.tried) >= k.Retry)
}

// mayBeNewer reports whether a token that no key verifies may cause a fetch; k.mu is held.
func (k *Keys) mayBeNewer(now time.Time) bool { return now.Sub(k.tried) >= k.Pause }

// current returns the cached keys, after a fetch if one is due. Without an error there is at least one.
func (k *Keys) current(ctx context.Context, due func(now time.Time) bool) ([]jose.JSONWebKey, error) {
	if keys, ok, err := k.cached(due); ok {
		return keys, err
	}
	select {
	case k.fetching <- struct{}{}:
		defer func() { <-k.fetching }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrNoKeys, ctx.Err())
	}
	// Another goroutine may have fetched them meanwhile.
	if keys, ok, err := k.cached(due); ok {
		return keys, err
	}
	began := k.now()
	ctx, cancel := context.WithTimeout(ctx, k.Timeout)
	defer cancel()
	keys, err := k.Fetch(ctx)
	if err == nil && len(keys) == 0 {
		err = errors.New("fetch keys: there are none")
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
	keys, _, err = k.cached(func(time.Time) bool { return false })
	return keys, err
}

// cached returns the cached keys; ok is false if a fetch is due.
func (k *Keys) cached(due func(now time.Time) bool) (keys []jose.JSONWebKey, ok bool, err error) {
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
