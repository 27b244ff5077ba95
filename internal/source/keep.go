package source

import (
	"bytes"
	"compress/flate"
	"io"
	"sync"
	"time"
)

// keptMost bounds a content that is kept in memory, compressed, in bytes: about 100,000
// rows.
const keptMost = 4 << 20

// kept is the last content of a server, by its ETag: if the server says that it has not
// changed, it is read again from here. The zero value has none. It is safe for concurrent
// use.
type kept struct {
	mu       sync.Mutex
	etag     string
	modified time.Time
	packed   []byte
}

// tag returns the ETag of what is kept; empty: nothing is.
func (k *kept) tag() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.etag
}

// content returns what is kept under an ETag.
func (k *kept) content(etag string) (content io.Reader, modified time.Time, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if etag == "" || k.etag != etag {
		return nil, time.Time{}, false
	}
	return flate.NewReader(bytes.NewReader(k.packed)), k.modified, true
}

// keep replaces what is kept, by nothing if there is no ETag or the content is too large.
func (k *kept) keep(etag string, modified time.Time, content io.Reader) {
	var packed buffer
	if etag != "" {
		w, _ := flate.NewWriter(&packed, flate.BestSpeed) // the level is valid
		_, err := io.Copy(w, content)
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			etag, packed.Buffer = "", bytes.Buffer{}
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.etag, k.modified, k.packed = etag, modified, packed.Bytes()
}

// buffer is one that refuses more than keptMost bytes.
type buffer struct{ bytes.Buffer }

func (b *buffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > keptMost {
		return 0, io.ErrShortBuffer
	}
	return b.Buffer.Write(p)
}
