package main

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// distance is between a client and Redis and delivers every byte oneWay later than it
// was sent, as a network would. It does not limit the bandwidth.
type distance struct {
	listener net.Listener
	to       string
	oneWay   time.Duration

	mu    sync.Mutex
	conns []net.Conn
	wg    sync.WaitGroup
}

func newDistance(to string, oneWay time.Duration) (*distance, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		return nil, err
	}
	d := &distance{listener: listener, to: to, oneWay: oneWay}
	d.wg.Go(d.accept)
	return d, nil
}

func (d *distance) address() string { return d.listener.Addr().String() }

// close ends all connections and returns when nothing of it runs any more.
func (d *distance) close() {
	_ = d.listener.Close()
	d.mu.Lock()
	for _, c := range d.conns {
		_ = c.Close()
	}
	d.mu.Unlock()
	d.wg.Wait()
}

func (d *distance) accept() {
	for {
		near, err := d.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", d.to) //nolint:noctx // to a server of ours
		if err != nil {
			_ = near.Close()
			continue
		}
		d.mu.Lock()
		d.conns = append(d.conns, near, far)
		d.mu.Unlock()
		d.wg.Go(func() { d.carry(far, near) })
		d.wg.Go(func() { d.carry(near, far) })
	}
}

// parcel is what was sent, and when it is to arrive.
type parcel struct {
	due  time.Time
	data []byte
}

func (d *distance) carry(to, from net.Conn) {
	under := make(chan parcel, 1024)
	d.wg.Go(func() {
		defer func() { _ = to.Close() }()
		for p := range under {
			time.Sleep(time.Until(p.due)) //nolint:forbidigo // the distance is what is meant
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close()
			}
		}
	})
	defer close(under)
	data := make([]byte, 32<<10)
	for {
		n, err := from.Read(data)
		if err != nil {
			return
		}
		under <- parcel{time.Now().Add(d.oneWay), bytes.Clone(data[:n])}
	}
}
