package webhook

import (
	"net/netip"
	"net/url"
	"time"
)

// Enter takes room for a call of an endpoint, and Leave returns it after the call ended with
// an error or nil.
func (s *Service) Enter(endpoint string) (wait time.Duration) { return s.enter(endpoint) }
func (s *Service) Leave(endpoint string, err error)           { s.leave(endpoint, err) }

// Check is what decides about an address when it is dialled.
func (e Endpoint) Check(addr netip.Addr) error {
	to, err := url.Parse(e.URL.Reveal())
	if err != nil {
		return err
	}
	return e.check(addr, to)
}

// Delay is how long a task waits that asynq itself returns to the queue.
func Delay(err error) time.Duration { return delay(0, err, nil) }
