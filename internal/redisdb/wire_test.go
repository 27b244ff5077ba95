package redisdb_test

import (
	"io"
	"net"

	"rollcall/internal/secret"
)

func secretText(value string) secret.Text { return secret.New(value) }

func copyAndClose(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	to.Close()
	from.Close()
}
