package ledger_test

import (
	"testing"

	"rollcall/internal/ledger"
)

// What a worker of a later version, or a damaged Redis, holds as the detail of a row is
// read or refused, and never panics.
func FuzzADetailIsReadOrRefused(f *testing.F) {
	f.Add("A\x01\x01r\x00\x00\x00\x05\x00\x00\x01x\x00\x00")
	f.Add("A\x01\xfe0123456789abcdef\x00\x00\x00\x05\x04name\xff\xff\x00\x01y")
	f.Add("D\x07\x00\x00\x00\x00\x05\x08rejected\x0534025\x02no")
	f.Add("")
	f.Fuzz(func(t *testing.T, entry string) {
		row, detail, err := ledger.ReadDetail(entry)
		if err == nil && (row < 0 || row > 255 || (detail.Fields != nil) != (entry[0] == 'A')) {
			t.Errorf("%q: row %d, %+v", entry, row, detail)
		}
	})
}
