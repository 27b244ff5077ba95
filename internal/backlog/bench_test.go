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

// What is counted is the client's side alone: the server makes nothing.
func BenchmarkPendingOf220Queues(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go sevens(conn)
		}
	}()
	rdb := redis.NewClient(&redis.Options{Addr: listener.Addr().String()})
	defer rdb.Close()
	queues := make([]string, 220)
	for i := range queues {
		queues[i] = fmt.Sprintf("school-%d-dingtalk.nickname", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		if pending, err := backlog.Pending(b.Context(), rdb, queues); err != nil || pending[219] != 7 {
			b.Fatal(pending, err)
		}
	}
}

// sevens is a Redis all of whose lists have seven entries, and that knows no
// other command.
func sevens(conn net.Conn) {
	defer conn.Close()
	in, out := bufio.NewReader(conn), bufio.NewWriter(conn)
	for {
		line, err := in.ReadSlice('\n') // *<words>
		if err != nil {
			return
		}
		words, _ := strconv.Atoi(string(line[1 : len(line)-2]))
		llen := false
		for i := range words {
			if _, err := in.ReadSlice('\n'); err != nil { // $<length>
				return
			}
			word, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			llen = llen || i == 0 && string(word) == "llen\r\n"
		}
		if llen {
			_, err = out.WriteString(":7\r\n")
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
