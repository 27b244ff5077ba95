package redisdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Fault is a temporary state of Redis: the same command succeeds later. Its value is a
// name for logs; the zero value means no fault.
type Fault string

// The faults.
const (
	Unreachable    Fault = "unreachable"
	Loading        Fault = "loading"
	ReadOnly       Fault = "read_only"
	OutOfMemory    Fault = "out_of_memory"
	TooFewReplicas Fault = "too_few_replicas"
	TooManyClients Fault = "too_many_clients"
	CannotPersist  Fault = "cannot_persist"
	ClusterDown    Fault = "cluster_down"
	Busy           Fault = "busy"
	NoScript       Fault = "no_script"
)

// replies maps the first word of an error reply to its fault.
// https://github.com/redis/redis/blob/7.0/src/server.c, createSharedObjects
var replies = map[string]Fault{
	"LOADING": Loading, "READONLY": ReadOnly, "OOM": OutOfMemory, "NOREPLICAS": TooFewReplicas, "MISCONF": CannotPersist,
	"CLUSTERDOWN": ClusterDown, "MASTERDOWN": ClusterDown, "TRYAGAIN": ClusterDown, "BUSY": Busy, "NOSCRIPT": NoScript,
}

var sentences = map[Fault]struct{ what, todo string }{
	Unreachable:    {"Redis cannot be reached or does not answer", "check that it runs, its address and the network"},
	Loading:        {"Redis is loading its data", "wait until it has loaded"},
	ReadOnly:       {"Redis is read-only: it is a replica", "wait for the failover to end, or use the address of the master"},
	OutOfMemory:    {"Redis is out of memory", "raise maxmemory, or delete data"},
	TooFewReplicas: {"Redis has too few replicas to take writes", "start its replicas, or lower min-replicas-to-write"},
	TooManyClients: {"Redis has too many clients", "raise maxclients, or close connections of other programs"},
	CannotPersist:  {"Redis cannot write to its disk and takes no writes", "see Redis' log: the disk may be full"},
	ClusterDown:    {"the Redis Cluster does not serve all slots", "start the missing nodes, or wait for the failover to end"},
	Busy:           {"Redis is busy with a script", "wait until it ends"},
	NoScript:       {"Redis does not know a script", "nothing to do: the script is sent again"},
}

// String describes the fault in a sentence without a full stop. It contains no address,
// so everyone may read it.
func (f Fault) String() string { return sentences[f].what }

// Advice returns what a person should do about the fault.
func (f Fault) Advice() string { return sentences[f].todo }

// FaultOf returns the fault that caused err or an error in its chain; false for nil and
// for an error that is not temporary, such as a wrong password.
func FaultOf(err error) (Fault, bool) {
	if _, full := errors.AsType[*fullError](err); full {
		return TooManyClients, true
	}
	if reply, said := errors.AsType[redis.Error](err); said {
		f, known := replyFault(reply.Error())
		return f, known
	}
	_, network := errors.AsType[net.Error](err)
	if network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrPoolTimeout) {
		return Unreachable, true
	}
	return "", false
}

func replyFault(text string) (Fault, bool) {
	word, rest, _ := strings.Cut(text, " ")
	if f, known := replies[word]; known {
		return f, true
	}
	if strings.HasPrefix(text, tooManyClients) {
		return TooManyClients, true
	}
	// Redis 6 and older wrap the error of a command in a script.
	if word == "ERR" && strings.HasPrefix(rest, "Error running script") {
		for word, f := range replies {
			if strings.Contains(rest, ": -"+word+" ") {
				return f, true
			}
		}
	}
	return "", false
}

// Mentions reports whether a text quotes an error that is a [Fault]: for libraries that
// turn errors into text.
func Mentions(text string) bool {
	for word := range replies {
		if strings.Contains(text, word+" ") {
			return true
		}
	}
	for _, words := range []string{
		tooManyClients, "connection refused", "connection reset", "broken pipe", "i/o timeout", "EOF", "deadline exceeded", "connection pool timeout",
	} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// Explain describes err for a person: what is wrong with Redis and what to do, or the
// error's own text if it is not a [Fault].
func Explain(err error) string {
	fault, passing := FaultOf(err)
	if !passing {
		return err.Error()
	}
	if fault != Unreachable {
		return fmt.Sprintf("%s: %s", fault, fault.Advice())
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		return fmt.Sprintf("cannot reach Redis at %s: %s", op.Addr, innermost(op.Err))
	}
	return "cannot reach Redis: " + innermost(err)
}

// innermost returns the text of the last error of a chain: "connection refused" without
// the names of the calls around it.
func innermost(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Error() // names the host, and its cause does not
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return "no answer in time"
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
