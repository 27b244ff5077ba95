package redisdb

// Waiting returns how many callers wait for a pipeline that is not sent yet.
func Waiting(a *Autopipeline) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, q := range a.queues {
		n += len(q.waiting)
	}
	return n
}
