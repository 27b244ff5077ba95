package webhook

import (
	"net/netip"
	"net/url"
)

// Check is what decides about an address when it is dialled.
func (e Endpoint) Check(addr netip.Addr) error {
	to, err := url.Parse(e.URL.Reveal())
	if err != nil {
		return err
	}
	return e.check(addr, to)
}
