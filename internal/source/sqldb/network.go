package sqldb

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"rollcall/internal/source"
)

// network judges an error without an answer of the server. The text is built from the
// kind of fault alone: the error itself contains the address, and a password with an @ in
// it may have become part of that.
func network(err error) (source.Cause, string) {
	const check = "; check that the server runs, and the host and the port of the DSN"
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var errno syscall.Errno
	switch {
	case errors.As(err, &certificate):
		return source.Refused, "the server's certificate is not trusted; check the DSN's TLS settings and this machine's clock"
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err), isTimeout(err):
		return source.Slow, "the server does not answer" + check
	case errors.As(err, &dns):
		return source.Down, "the host of the DSN has no address: " + dns.Err + check
	case errors.As(err, &errno):
		return source.Down, "no connection: " + errno.Error() + check
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return source.Down, "the connection broke off before the last row; nothing of the result is used"
	}
	return source.Down, "no connection, or it broke off; nothing of the result is used" + check
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
