package table

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// coding is an encoding of text.
type coding struct {
	name    string
	bom     []byte            // skipped at the beginning
	decoder encoding.Encoding // nil: UTF-8
}

var (
	codingUTF8    = coding{name: "UTF-8", bom: []byte("\xef\xbb\xbf")}
	codingUTF16LE = coding{"UTF-16LE", []byte("\xff\xfe"), unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)}
	codingUTF16BE = coding{"UTF-16BE", []byte("\xfe\xff"), unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)}
	codingGB18030 = coding{name: "GB18030", decoder: simplifiedchinese.GB18030}
)

// Encodings lists the names that Options.Encoding takes.
func Encodings() []string { return []string{"utf-8", "gb18030", "utf-16le", "utf-16be"} }

func named(name string) (coding, error) {
	switch strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name)) {
	case "utf8":
		return codingUTF8, nil
	case "utf16le", "utf16":
		return codingUTF16LE, nil
	case "utf16be":
		return codingUTF16BE, nil
	case "gb18030", "gbk", "gb2312", "cp936":
		return codingGB18030, nil
	}
	return coding{}, fmt.Errorf("encoding %.40q is not supported: use %s", name, strings.Join(Encodings(), ", "))
}

// text is the content of a text file.
type text struct {
	input    *Input
	encoding coding
}

// newText decides on the encoding: the one that is named, else a byte order mark,
// else UTF-8 if the whole file is, else GB18030 if the whole file is. It is
// deterministic, and never guesses from frequencies.
func newText(in *Input, head []byte, name string) (*text, error) {
	t := &text{input: in}
	if name != "" {
		var err error
		if t.encoding, err = named(name); err != nil {
			return nil, err
		}
		return t, t.whole()
	}
	for _, c := range []coding{codingUTF16LE, codingUTF16BE} {
		if bytes.HasPrefix(head, c.bom) {
			t.encoding = c
			return t, t.whole()
		}
	}
	census, err := readCensus(in.Reader())
	if err != nil {
		return nil, err
	}
	t.encoding = codingUTF8
	switch {
	case census.invalid == 0:
		return t, nil
	case bytes.HasPrefix(head, codingUTF8.bom) || census.mostlyUTF8():
		return nil, fmt.Errorf("line %d: byte %d of the file is not valid UTF-8, while the rest of the file is: "+
			"it was cut, or its parts have different encodings; export it again (--encoding gb18030 reads it as GB18030 nevertheless)",
			census.line, census.offset)
	}
	t.encoding = codingGB18030
	if err := t.whole(); err != nil {
		return nil, fmt.Errorf("line %d: byte %d of the file is not valid UTF-8, and it is not GB18030 either (%w): "+
			"save it as UTF-8 (in Excel: \"CSV UTF-8\"), or name its encoding with --encoding", census.line, census.offset, err)
	}
	return t, nil
}

// whole checks that the whole file can be decoded.
func (t *text) whole() error {
	if strings.HasPrefix(t.encoding.name, "UTF-16") && t.input.size%2 != 0 {
		return fmt.Errorf("the file is %s and has an odd number of bytes: it was cut inside a character; export it again", t.encoding.name)
	}
	if t.encoding.decoder == nil {
		census, err := readCensus(t.input.Reader())
		if err == nil && census.invalid > 0 {
			err = fmt.Errorf("line %d: byte %d of the file is not valid UTF-8", census.line, census.offset)
		}
		return err
	}
	r, line := bufio.NewReaderSize(t.reader(), 1<<16), 1
	for {
		switch c, _, err := r.ReadRune(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case c == '\n':
			line++
		case c == 0:
			return fmt.Errorf("line %d has a NUL character: the file is not %s text", line, t.encoding.name)
		case c == utf8.RuneError:
			return fmt.Errorf("line %d is not valid %s", line, t.encoding.name)
		}
	}
}

// reader returns the content as UTF-8 without a byte order mark, its lines ended
// by LF or CRLF.
func (t *text) reader() io.Reader {
	raw := bufio.NewReaderSize(t.input.Reader(), 1<<16)
	if head, _ := raw.Peek(len(t.encoding.bom)); len(head) > 0 && bytes.Equal(head, t.encoding.bom) {
		_, _ = raw.Discard(len(head)) // it was peeked
	}
	var r io.Reader = raw
	if t.encoding.decoder != nil {
		r = transform.NewReader(r, t.encoding.decoder.NewDecoder())
	}
	return transform.NewReader(r, lineEnds{})
}

// lineEnds turns a CR that no LF follows into an LF.
type lineEnds struct{ transform.NopResetter }

func (lineEnds) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if nDst == len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		c := src[nSrc]
		if c == '\r' {
			switch {
			case nSrc+1 == len(src) && !atEOF:
				return nDst, nSrc, transform.ErrShortSrc
			case nSrc+1 == len(src) || src[nSrc+1] != '\n':
				c = '\n'
			}
		}
		dst[nDst] = c
		nDst, nSrc = nDst+1, nSrc+1
	}
	return nDst, nSrc, nil
}

// census counts what a file holds if it is taken for UTF-8.
type census struct {
	valid, invalid int   // sequences of several bytes
	line           int   // of the first invalid byte
	offset         int64 // of the first invalid byte, from 0
	cut            bool  // the only invalid bytes are the beginning of a character at the end of the file
}

// mostlyUTF8 reports whether a file that is not valid UTF-8 is damaged UTF-8.
// GB18030 text holds few sequences that happen to be UTF-8.
func (c census) mostlyUTF8() bool { return c.valid > c.invalid || c.cut && c.invalid == 1 }

func readCensus(r io.Reader) (census, error) {
	var c census
	buffer := make([]byte, 0, 1<<16)
	at := position{line: 1}
	for {
		n, err := r.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return c, err
		}
		rest := buffer
		for len(rest) > 0 && (ended || utf8.FullRune(rest)) {
			size := c.count(rest, at, ended)
			if rest[0] == '\n' {
				at.line++
			}
			at.offset += int64(size)
			rest = rest[size:]
		}
		buffer = append(buffer[:0], rest...)
		if ended {
			return c, nil
		}
	}
}

// position is one in a file.
type position struct {
	line   int
	offset int64
}

// count counts the sequence at the beginning of rest, and returns its size.
func (c *census) count(rest []byte, at position, ended bool) int {
	if rest[0] < utf8.RuneSelf {
		return 1
	}
	char, size := utf8.DecodeRune(rest)
	if char != utf8.RuneError || size > 1 {
		c.valid++
		return size
	}
	if c.invalid++; c.invalid == 1 {
		c.line, c.offset = at.line, at.offset
	}
	if c.cut = ended && !utf8.FullRune(rest); c.cut {
		return len(rest)
	}
	return 1
}

// isJSON reports whether the text begins as NDJSON does, or as an array of objects.
func (t *text) isJSON() bool {
	head, _ := bufio.NewReaderSize(t.reader(), sniffed).Peek(sniffed) // what there is of it
	head = bytes.TrimLeft(head, " \t\r\n")
	return bytes.HasPrefix(head, []byte("{")) || isArray(head)
}

func isArray(head []byte) bool {
	rest, found := bytes.CutPrefix(head, []byte("["))
	return found && bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte("{"))
}
