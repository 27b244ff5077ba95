package contacts

import "time"

// Hurry shortens the waits between the tries of a call.
func (s *Source) Hurry() {
	s.waits.first = time.Millisecond
}
