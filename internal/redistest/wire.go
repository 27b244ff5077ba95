package redistest

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
)

// readMessage reads one command or reply as raw bytes. miniredis' own reader supports
// neither verbatim strings, which INFO returns, nor booleans.
// https://redis.io/docs/latest/develop/reference/protocol-spec/
func readMessage(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 {
		return nil, fmt.Errorf("redistest: %q is not a line of the Redis protocol", line)
	}
	number := func() (int, error) { return strconv.Atoi(string(line[1 : len(line)-2])) }
	switch line[0] {
	case '$', '=', '!':
		n, err := number()
		if err != nil || n < 0 { // below 0: nil
			return line, err
		}
		text := make([]byte, n+2)
		_, err = io.ReadFull(r, text)
		return append(line, text...), err
	case '*', '>', '~', '%', '|':
		n, err := number()
		if line[0] == '%' || line[0] == '|' {
			n *= 2
		}
		if line[0] == '|' {
			n++ // the value follows its attributes
		}
		for i := 0; i < n && err == nil; i++ {
			var part []byte
			part, err = readMessage(r)
			line = append(line, part...)
		}
		return line, err
	}
	return line, nil
}
