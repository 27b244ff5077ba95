package table_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"rollcall/internal/table"
)

func TestTextThatIsEncodedIsReadAgain(t *testing.T) {
	t.Parallel()
	const text = "\ufeff用户ID,群昵称\r\nu1,黄勇（班长）\r\nu2,😀\r\n"
	for name, begins := range map[string]string{
		"": "\xef\xbb\xbf", "UTF-8": "\xef\xbb\xbf", "GB18030": "\xd3\xc3", "UTF-16LE": "\xff\xfe\x28\x75", "UTF-16BE": "\xfe\xff\x75\x28",
	} {
		var out bytes.Buffer
		w, err := table.Encode(&out, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{text[:7], text[7:20], text[20:]} { // cut within characters
			if n, err := io.WriteString(w, part); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(out.String(), begins) {
			t.Errorf("%s begins with % x", name, out.Bytes()[:4])
		}
		in, err := table.Spool(&out)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = in.Close() }()
		read, err := table.Open(in, table.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if name != "" && read.Encoding != name {
			t.Errorf("%s is read as %s", name, read.Encoding)
		}
		var cells []string
		for record, err := range read.Records() {
			if err != nil {
				t.Fatal(err)
			}
			cells = append(cells, record.Cells...)
		}
		if names, _ := read.Header(); strings.Join(append(names, cells...), " ") != "用户ID 群昵称 u1 黄勇（班长） u2 😀" {
			t.Errorf("%s: %q %q", name, names, cells)
		}
	}
	if _, err := table.Encode(io.Discard, "big5"); err == nil {
		t.Error("an encoding that is not read is written")
	}
}
