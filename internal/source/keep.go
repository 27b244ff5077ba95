package source

import (
	"bytes"
	"compress/flate"
	"io"
	"time"
)

// keptMost bounds a content that is kept in memory, compressed, in bytes: about 100,000
// rows.
const keptMost = 4 << 20

// kept is the last content of a server that has an ETag: if the server says that it has not
// changed, it is read again from here.
type kept struct {
	etag     string
	modified time.Time
	packed   []byte
}

// keep returns a content to keep; nil if it has no ETag or is too large.
func keep(etag string, modified time.Time, content io.Reader) *kept {
	if etag == "" {
		return nil
	}
	var packed buffer
	w, _ := flate.NewWriter(&packed, flate.BestSpeed) // the level is valid
	_, err := io.Copy(w, content)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil
	}
	return &kept{etag, modified, packed.Bytes()}
}

// content returns the content.
func (k *kept) content() io.Reader { return flate.NewReader(bytes.NewReader(k.packed)) }

// buffer is one that refuses more than keptMost bytes.
type buffer struct{ bytes.Buffer }

func (b *buffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > keptMost {
		return 0, io.ErrShortBuffer
	}
	return b.Buffer.Write(p)
}
