package redisdb

// Waiting is how many callers wait for a pipeline that has not left.
func Waiting(a *Autopipeline) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiting)
}
