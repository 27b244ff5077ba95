package tasks_test

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// fault is what a proxy does to a request.
type fault int

const (
	pass      fault = iota
	loseReply       // Redis carries it out; the connection ends before the answer
	loseSend        // the connection ends before Redis reads it
	mute            // Redis carries it out; no answer comes, the connection stays
	refuse          // answered with an error of Redis' kind, not carried out
	shutDown        // the connection ends, and no new one is accepted
	seal            // carried out; all other connections end, and no new one is accepted
)

// proxy stands between a client and Redis and asks judge about each request.
type proxy struct {
	listener net.Listener
	server   string
	judge    func(request []byte) fault

	mu       sync.Mutex
	conns    map[net.Conn]bool // true: to a client
	accepted chan struct{}     // closed when no more are
	done     sync.WaitGroup
}

func newProxy(t *testing.T, server string, judge func(request []byte) fault) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server, judge: judge, conns: map[net.Conn]bool{}, accepted: make(chan struct{})}
	p.done.Go(p.accept)
	t.Cleanup(func() {
		p.close()
		p.done.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) close() { p.closeBut(nil, nil) }

// closeBut returns when no connection can be made any more, and when all but
// one have seen their end. Close alone leaves both to the goroutine that is
// reading or accepting just then.
func (p *proxy) closeBut(one, other net.Conn) {
	p.listener.Close()
	<-p.accepted
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, client := range p.conns {
		if client && c != one {
			_ = c.(*net.TCPConn).CloseWrite() // it may be closed already
		}
	}
	for c := range p.conns {
		if c != one && c != other {
			c.Close()
		}
	}
}

func (p *proxy) accept() {
	defer close(p.accepted)
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, false
		p.mu.Unlock()
		c := &crossing{proxy: p, client: client, server: server}
		p.done.Go(c.requests)
		p.done.Go(c.replies)
	}
}

// crossing is one connection through the proxy.
type crossing struct {
	proxy          *proxy
	client, server net.Conn

	mu   sync.Mutex
	next fault // what happens to the reply that comes next
}

func (c *crossing) end() {
	c.client.Close()
	c.server.Close()
}

// requests relies on a client that writes each command at once, as go-redis
// does with commands below its buffer of some kilobytes.
func (c *crossing) requests() {
	defer c.end()
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.client.Read(buffer)
		if err != nil {
			return
		}
		verdict := c.proxy.judge(buffer[:n])
		switch verdict {
		case loseSend:
			return
		case shutDown:
			c.proxy.close()
			return
		case seal:
			c.proxy.closeBut(c.client, c.server)
		case refuse:
			if _, err := c.client.Write([]byte("-READONLY You can't write against a read only replica.\r\n")); err != nil {
				return
			}
			continue
		case loseReply, mute:
			c.mu.Lock()
			c.next = verdict
			c.mu.Unlock()
		case pass:
		}
		if _, err := c.server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (c *crossing) replies() {
	defer c.end()
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.server.Read(buffer)
		if err != nil {
			return
		}
		c.mu.Lock()
		verdict := c.next
		c.mu.Unlock()
		switch verdict {
		case loseReply:
			return
		case mute:
			continue
		case pass, loseSend, refuse, shutDown, seal:
		}
		if _, err := c.client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// faults applies a list of faults, one a request that holds all of the marks,
// and lets everything else pass.
type faults struct {
	marks []string
	mu    sync.Mutex
	todo  []fault
	met   int // requests with the marks, faulty or not
}

func (f *faults) judge(request []byte) fault {
	for _, m := range f.marks {
		if !bytes.Contains(request, []byte(m)) {
			return pass
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.met++
	if len(f.todo) == 0 {
		return pass
	}
	next := f.todo[0]
	f.todo = f.todo[1:]
	return next
}

func (f *faults) left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.todo)
}
