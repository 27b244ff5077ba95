package table

import (
	"bytes"
	"errors"
)

// sniffed is how many bytes of a file are looked at to recognise its kind.
const sniffed = 4096

// errWide refuses a file that may be text after all, if its encoding is named.
var errWide = errors.New("the file has NUL bytes: it is binary, or UTF-16 without a byte order mark (then use --encoding utf-16le or utf-16be)")

const asXLSX = "save it as .xlsx (Excel Workbook) or as CSV UTF-8"

// recognise reports by the content of a file, because names lie, whether it is a ZIP file, and
// why it cannot be read and what to do. Without both it may be text.
func recognise(head []byte) (isZip bool, refusal error) {
	start := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(head, codingUTF8.bom), " \t\r\n"))
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return true, nil
	case bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		return false, errors.New("the file is an old Excel workbook (.xls), or one with a password: " + asXLSX + ", without a password")
	case bytes.HasPrefix(start, []byte("<!doctype html")), bytes.HasPrefix(start, []byte("<html")), bytes.HasPrefix(start, []byte("<table")):
		return false, errors.New("the file is a web page (HTML), in spite of its name: open it in Excel or WPS and " + asXLSX)
	case bytes.HasPrefix(start, []byte("<?xml")):
		return false, errors.New("the file is XML: open it in Excel or WPS and " + asXLSX)
	case bytes.HasPrefix(head, []byte("%PDF")):
		return false, errors.New("the file is a PDF: export the table as .xlsx or CSV")
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return false, errors.New("the file is compressed (gzip): decompress it first")
	case bytes.HasPrefix(head, []byte("Rar!")), bytes.HasPrefix(head, []byte("7z\xbc\xaf")):
		return false, errors.New("the file is an archive: extract the table from it first")
	case bytes.HasPrefix(head, codingUTF16LE.bom), bytes.HasPrefix(head, codingUTF16BE.bom):
		return false, nil
	case bytes.IndexByte(head, 0) >= 0 && bytes.Count(head, []byte{0}) == len(head):
		return false, errors.New("the file holds only NUL bytes: it is not a table")
	case bytes.IndexByte(head, 0) >= 0:
		return false, errWide
	}
	return false, nil
}
