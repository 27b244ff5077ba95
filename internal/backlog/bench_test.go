package backlog_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
)

// Only the client's cost is counted: the server allocates nothing.
func BenchmarkPendingOf220Queues(b *testing.B) {
	rdb := answered(b, "llen", ":7\r\n")
	queues := names(220)
	b.ReportAllocs()
	for b.Loop() {
		if pending, err := backlog.Pending(b.Context(), rdb, queues); err != nil || pending[219] != 7 {
			b.Fatal(pending, err)
		}
	}
}

// As above: this is what a sweep of idle lanes costs a worker every 5 s.
func BenchmarkLookAt220IdleQueues(b *testing.B) {
	repairer := backlog.NewRepairer(answered(b, "evalsha", "*1\r\n:1763762142000000\r\n"))
	queues := names(220)
	b.ReportAllocs()
	for b.Loop() {
		if looks := repairer.Look(b.Context(), queues); looks[219].Err != nil || looks[219].Now.IsZero() {
			b.Fatal(looks[219])
		}
	}
}

func names(n int) []string {
	queues := make([]string, n)
	for i := range queues {
		queues[i] = fmt.Sprintf("school-%d-dingtalk.nickname", i)
	}
	return queues
}

// answered returns a client of a server that answers one command only.
func answered(b *testing.B, command, with string) redis.UniversalClient {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answer(conn, command, with)
		}
	}()
	rdb := redis.NewClient(&redis.Options{Addr: listener.Addr().String()})
	b.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// answer serves a connection that knows one command, in lower case, and one answer to
// it.
func answer(conn net.Conn, command, with string) {
	defer conn.Close()
	in, out := bufio.NewReader(conn), bufio.NewWriter(conn)
	for {
		line, err := in.ReadSlice('\n') // *<words>
		if err != nil {
			return
		}
		words, _ := strconv.Atoi(string(line[1 : len(line)-2]))
		known := false
		for i := range words {
			size, err := in.ReadSlice('\n') // $<length>
			if err != nil {
				return
			}
			length, _ := strconv.Atoi(string(size[1 : len(size)-2]))
			word, err := in.Peek(length + 2)
			if err != nil {
				return
			}
			known = known || i == 0 && string(word[:length]) == command
			_, _ = in.Discard(len(word)) // the argument
		}
		if known {
			_, err = out.WriteString(with)
		} else {
			_, err = out.WriteString("-ERR unknown command\r\n")
		}
		if in.Buffered() == 0 {
			err = errors.Join(err, out.Flush())
		}
		if err != nil {
			return
		}
	}
}
