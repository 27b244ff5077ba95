package table

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// texts are the texts that cells share, kept in one piece.
type texts struct {
	all  []byte
	ends []uint32
}

func (t *texts) len() int { return len(t.ends) }

func (t *texts) at(i int) string {
	begin := uint32(0)
	if i > 0 {
		begin = t.ends[i-1]
	}
	return string(t.all[begin:t.ends[i]])
}

func (t *texts) add(text string) bool {
	if len(t.all)+len(text) > maxShared || len(t.ends) >= maxShared/8 {
		return false
	}
	t.all = append(t.all, text...)
	t.ends = append(t.ends, uint32(min(len(t.all), math.MaxUint32)))
	return true
}

// readShared reads the table of shared texts.
func (b *book) readShared(part string) (texts, error) {
	r, err := b.open(part, maxSheet)
	if err != nil {
		return texts{}, err
	}
	defer r.Close() //nolint:errcheck // it was only read
	all, err := sharedTexts(newTokens(r))
	if err != nil {
		return texts{}, damaged(part, err)
	}
	return all, nil
}

func sharedTexts(tokens *tokens) (texts, error) {
	var all texts
	for {
		token, err := tokens.next()
		if err != nil {
			return texts{}, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name.Local != "si" {
				continue
			}
			text, _, err := tokens.content("si", maxRecord)
			if err != nil {
				return texts{}, err
			}
			if !all.add(unescape(text)) {
				return texts{}, errUnpacked
			}
		case xml.EndElement:
			if t.Name.Local == "sst" {
				return all, nil
			}
		}
	}
}

var escaped = regexp.MustCompile(`_x[0-9A-Fa-f]{4}_`)

// unescape replaces the escapes of characters that XML cannot hold: _x000D_.
func unescape(text string) string {
	if !strings.Contains(text, "_x") {
		return text
	}
	return escaped.ReplaceAllStringFunc(text, func(e string) string {
		code, _ := strconv.ParseUint(e[2:6], 16, 16) // the pattern has four digits
		return string(rune(code))
	})
}

// stylesXML are the number formats of a workbook's styles.
type stylesXML struct {
	Formats []struct {
		ID   int    `xml:"numFmtId,attr"`
		Code string `xml:"formatCode,attr"`
	} `xml:"numFmts>numFmt"`
	Cells []struct {
		Format int `xml:"numFmtId,attr"`
	} `xml:"cellXfs>xf"`
}

func (b *book) readFormats(part string) ([]string, error) {
	var styles stylesXML
	if err := b.decode(part, &styles); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, err
	}
	own := make(map[int]string, len(styles.Formats))
	for _, f := range styles.Formats {
		own[f.ID] = f.Code
	}
	formats := make([]string, len(styles.Cells))
	for i, c := range styles.Cells {
		code, custom := own[c.Format]
		if !custom {
			code = builtinFormat(c.Format)
		}
		formats[i] = code
	}
	return formats, nil
}
