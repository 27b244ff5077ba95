package enqueue

// Waiting returns how many tasks wait for their batch.
func (s *Shared) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}
