package metrics

import (
	"context"
	"sync"
	"time"
)

const (
	// readingLasts is how long one read serves further scrapes.
	readingLasts = 5 * time.Second
	// readingWithin bounds one read, of all queues or all lanes.
	readingWithin = 2 * time.Second
)

// reading keeps what was last read from Redis. The zero value has read nothing.
type reading[T any] struct {
	mu    sync.Mutex // held during a read, so that concurrent scrapes share it
	at    time.Time
	value T
	err   error
}

// get reads again if the last read is too old. The caller does not change the value.
func (r *reading[T]) get(read func(context.Context) (T, error)) (T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.at) >= readingLasts {
		ctx, cancel := context.WithTimeout(context.Background(), readingWithin)
		defer cancel()
		r.value, r.err = read(ctx)
		r.at = time.Now()
	}
	return r.value, r.err
}
