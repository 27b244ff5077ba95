package redistest

import (
	"bufio"
	"bytes"
	"net"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2/proto"
)

// Fault is what a [Proxy] does with a command.
type Fault int

// The faults.
const (
	Pass      Fault = iota
	LoseReply       // Redis executes it; the connection ends before the answer
	LoseSend        // the connection ends before Redis reads it
	Mute            // Redis executes it; no answer comes, the connection stays
	Refuse          // answered with a Redis error, not executed
	ShutDown        // the connection ends, and no new one is accepted
	Seal            // executed; all other connections end, and no new one is accepted
)

// Proxy is between clients and Redis, and applies a Fault to each command.
type Proxy struct {
	listener net.Listener
	server   string
	judge    func(request []byte) Fault
	answered func(request, reply []byte) Fault

	mu       sync.Mutex
	conns    map[net.Conn]bool // true: to a client
	accepted chan struct{}     // closed when no more connections are accepted
	done     sync.WaitGroup
}

// NewProxy starts a proxy for the server at an address; it ends with the test. judge
// returns the Fault of a command, which it receives as on the wire; [Words] parses it.
// answered receives each command's answer, also a lost one, and may drop it; nil: not
// called. Several goroutines call both.
func NewProxy(t *testing.T, server string, judge func(request []byte) Fault, answered func(request, reply []byte) Fault) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", addr("0")) //nolint:noctx // it listens until the test ends
	if err != nil {
		t.Fatalf("redistest: listen for a proxy: %v", err)
	}
	if answered == nil {
		answered = func([]byte, []byte) Fault { return Pass }
	}
	p := &Proxy{
		listener: listener, server: server, judge: judge, answered: answered,
		conns: map[net.Conn]bool{}, accepted: make(chan struct{}),
	}
	p.done.Go(p.accept)
	t.Cleanup(func() {
		p.close()
		p.done.Wait()
	})
	return p
}

// Addr returns the proxy's address, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Words parses a command; nil if it is not one.
func Words(request []byte) []string {
	words, err := proto.ReadStrings(string(request))
	if err != nil {
		return nil
	}
	return words
}

func (p *Proxy) close() { p.closeBut(nil, nil) }

// closeBut returns when no new connection can be made, and all connections but one have
// ended. Close alone leaves both to the goroutines that are reading or accepting.
func (p *Proxy) closeBut(one, other net.Conn) {
	_ = p.listener.Close() // may already be closed, like all below
	<-p.accepted
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, client := range p.conns {
		if client && c != one {
			_ = c.(*net.TCPConn).CloseWrite()
		}
	}
	for c := range p.conns {
		if c != one && c != other {
			_ = c.Close()
		}
	}
}

func (p *Proxy) accept() {
	defer close(p.accepted)
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server) //nolint:noctx // of this machine
		if err != nil {
			_ = client.Close()
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

// sent is a command whose answer is pending.
type sent struct {
	request []byte
	fault   Fault
}

// crossing is one connection through the proxy.
type crossing struct {
	proxy          *Proxy
	client, server net.Conn

	mu         sync.Mutex
	sent       []sent
	subscribed bool // further messages answer no command
}

func (c *crossing) end() {
	_ = c.client.Close()
	_ = c.server.Close()
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	delete(c.proxy.conns, c.client)
	delete(c.proxy.conns, c.server)
}

func (c *crossing) requests() {
	defer c.end()
	reader := bufio.NewReaderSize(c.client, 64<<10)
	for {
		request, err := readMessage(reader)
		if err != nil {
			return
		}
		fault := c.proxy.judge(request)
		switch fault {
		case LoseSend:
			return
		case ShutDown:
			c.proxy.close()
			return
		case Seal:
			c.proxy.closeBut(c.client, c.server)
		case Pass, LoseReply, Mute, Refuse:
		}
		c.expect(request, fault)
		if fault == Refuse { // its answer keeps its position among those of a pipeline
			request = []byte("*1\r\n$4\r\nPING\r\n")
		}
		if _, err := c.server.Write(request); err != nil {
			return
		}
	}
}

func (c *crossing) expect(request []byte, fault Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The name of the command is its first word.
	c.subscribed = c.subscribed || bytes.Contains(bytes.ToLower(request[:min(len(request), 32)]), []byte("subscribe\r\n"))
	if !c.subscribed {
		c.sent = append(c.sent, sent{request, fault})
	}
}

// first returns the command that a reply answers, and nothing for a message without a
// command.
func (c *crossing) first(reply []byte) sent {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subscribed || reply[0] == '>' || len(c.sent) == 0 {
		return sent{}
	}
	first := c.sent[0]
	c.sent = c.sent[1:]
	return first
}

func (c *crossing) replies() {
	defer c.end()
	reader := bufio.NewReaderSize(c.server, 64<<10)
	muted := false
	for {
		reply, err := readMessage(reader)
		if err != nil {
			return
		}
		answers := c.first(reply)
		if answers.request != nil {
			if late := c.proxy.answered(answers.request, reply); late != Pass {
				answers.fault = late
			}
		}
		if answers.fault == LoseReply {
			return
		}
		if answers.fault == Refuse {
			reply = []byte("-READONLY You can't write against a read only replica.\r\n")
		}
		if muted = muted || answers.fault == Mute; muted {
			continue
		}
		if _, err := c.client.Write(reply); err != nil {
			return
		}
	}
}
