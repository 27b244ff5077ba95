package table

import (
	"archive/zip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
)

// Bounds of a workbook: a small archive may hold a lot of text.
const (
	maxSheet  = 2 << 30   // bytes of a sheet's XML, which is read as a stream
	maxPart   = 8 << 20   // bytes of the XML of styles and lists of sheets
	maxShared = 128 << 20 // bytes of texts that cells share, which are kept in memory
)

// book is an XLSX workbook (ECMA-376, SpreadsheetML).
type book struct {
	parts   map[string]*zip.File
	sheet   string // the name of the sheet that is read
	part    string // and its part
	date    dates
	formats []string // number formats by the index of a cell's style
	shared  texts
}

// The XML of a workbook, as far as it is read here.
type (
	workbookXML struct {
		Properties struct {
			Date1904 string `xml:"date1904,attr"`
		} `xml:"workbookPr"`
		Sheets []sheetXML `xml:"sheets>sheet"`
	}
	sheetXML struct {
		Name  string     `xml:"name,attr"`
		State string     `xml:"state,attr"`
		Attrs []xml.Attr `xml:",any,attr"`
	}
	relationsXML struct {
		Relations []struct {
			ID     string `xml:"Id,attr"`
			Type   string `xml:"Type,attr"`
			Target string `xml:"Target,attr"`
		} `xml:"Relationship"`
	}
)

func openBook(in *Input, sheet string) (*book, error) {
	archive, err := zip.NewReader(in.file, in.size)
	if err != nil {
		return nil, fmt.Errorf("the file begins as an XLSX or ZIP file, and cannot be opened: %w: it was cut, or it is damaged", err)
	}
	b := &book{parts: make(map[string]*zip.File, len(archive.File))}
	for _, part := range archive.File {
		b.parts[strings.TrimPrefix(part.Name, "/")] = part
	}
	workbook, relations, err := b.findWorkbook()
	if err != nil {
		return nil, err
	}
	var w workbookXML
	if err := b.decode(workbook, &w); err != nil {
		return nil, err
	}
	b.date.since1904 = w.Properties.Date1904 == "1" || w.Properties.Date1904 == "true"
	if err := b.choose(w.Sheets, sheet, workbook, relations); err != nil {
		return nil, err
	}
	if part := related(relations, workbook, "/styles"); part != "" {
		if b.formats, err = b.readFormats(part); err != nil {
			return nil, err
		}
	}
	if part := related(relations, workbook, "/sharedStrings"); part != "" {
		if b.shared, err = b.readShared(part); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *book) findWorkbook() (workbook string, relations relationsXML, err error) {
	var root relationsXML
	if _, there := b.parts["_rels/.rels"]; there {
		if err := b.decode("_rels/.rels", &root); err != nil {
			return "", relations, err
		}
		workbook = related(root, "", "/officeDocument")
	}
	if part := b.parts[workbook]; part == nil || !strings.HasPrefix(workbook, "xl/") || strings.HasSuffix(workbook, ".bin") {
		return "", relations, errors.New("the file is a ZIP file, and not an .xlsx workbook: " + asXLSX)
	}
	err = b.decode(path.Join(path.Dir(workbook), "_rels", path.Base(workbook)+".rels"), &relations)
	return workbook, relations, err
}

// related returns the part that is related to another one by the end of its type:
// "strict" workbooks have other types of the same end.
func related(relations relationsXML, from, kind string) string {
	for _, r := range relations.Relations {
		if strings.HasSuffix(r.Type, kind) {
			return resolve(from, r.Target)
		}
	}
	return ""
}

func resolve(from, target string) string {
	if absolute, found := strings.CutPrefix(target, "/"); found {
		return absolute
	}
	return path.Join(path.Dir(from), target)
}

// choose finds the sheet that was named, or the first one that can be seen.
func (b *book) choose(sheets []sheetXML, name, workbook string, relations relationsXML) error {
	var names []string
	for _, s := range sheets {
		part := ""
		for _, r := range relations.Relations {
			isID := func(a xml.Attr) bool { return a.Name.Local == "id" && a.Value == r.ID }
			if strings.HasSuffix(r.Type, "/worksheet") && slices.ContainsFunc(s.Attrs, isID) {
				part = resolve(workbook, r.Target)
			}
		}
		if part == "" {
			continue // a chart
		}
		names = append(names, fmt.Sprintf("%q", s.Name))
		hidden := s.State == "hidden" || s.State == "veryHidden"
		if b.part == "" && (name == s.Name || name == "" && !hidden) {
			b.sheet, b.part = s.Name, part
		}
	}
	switch {
	case b.part != "":
		return nil
	case name == "":
		return errors.New("the workbook has no visible sheet")
	}
	return fmt.Errorf("the workbook has no sheet %.40q: it has %s", name, strings.Join(names, ", "))
}

// open returns the XML of a part, of which at most so many bytes are read.
func (b *book) open(name string, most int64) (io.ReadCloser, error) {
	part := b.parts[name]
	if part == nil {
		return nil, fmt.Errorf("the workbook is damaged: it has no part %.80q", name)
	}
	r, err := part.Open()
	if err != nil {
		return nil, damaged(name, err)
	}
	return &bounded{ReadCloser: r, left: most}, nil
}

func (b *book) decode(name string, into any) error {
	r, err := b.open(name, maxPart)
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // it was only read
	if err := xml.NewDecoder(r).Decode(into); err != nil {
		return damaged(name, err)
	}
	return nil
}

func damaged(part string, err error) error {
	if errors.Is(err, errUnpacked) {
		return fmt.Errorf("the part %.80q of the workbook: %w", part, err)
	}
	return fmt.Errorf("the workbook is damaged: part %.80q: %w: open it in Excel or WPS and save it again", part, err)
}

// bounded ends with an error where a limit is passed.
type bounded struct {
	io.ReadCloser

	left int64
}

var errUnpacked = errors.New("it is larger than this program reads")

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, errUnpacked
	}
	return n, err
}

// records reads the sheet row by row.
func (b *book) records() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		r, err := b.open(b.part, maxSheet)
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer r.Close() //nolint:errcheck // it was only read
		s := newSheet(b, r)
		for {
			record, err := s.next()
			if errors.Is(err, errSheetEnds) {
				return
			}
			if err != nil {
				yield(Record{}, damaged(b.part, err))
				return
			}
			if !yield(record, nil) {
				return
			}
		}
	}
}
