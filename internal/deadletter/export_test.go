package deadletter

import "context"

// Count returns how many dead letters a filter selects.
func (d *Service) Count(ctx context.Context, f Filter) (int64, error) {
	heaps, err := d.selections(ctx, f)
	var n int64
	for _, h := range heaps {
		n += h.deadLetters
	}
	return n, err
}
