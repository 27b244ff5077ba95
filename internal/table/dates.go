package table

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xuri/nfp"
)

// maxExact is the first integer that Excel, which keeps 15 digits, may have
// rounded.
const maxExact = 1e15

// dates shows the numbers of a workbook.
type dates struct {
	since1904 bool
	parsed    map[string][]nfp.Token // of formats of dates; nil for other formats
}

// show returns a number as a person sees it: dates by their format, zeros in
// front where the format has them, integers in full.
func (d *dates) show(number float64, format string) (value, fault string) {
	if tokens := d.tokens(format); tokens != nil {
		value, ok := d.date(number, tokens)
		if !ok {
			return plainNumber(number), "is a date in a format that cannot be read: format the cell as text and enter the value as it should be"
		}
		return value, ""
	}
	if math.Abs(number) >= maxExact {
		return plainNumber(number), "is a number of more than 15 digits, which Excel has rounded: format the column as text, then enter or import the values again"
	}
	value = plainNumber(number)
	if number >= 0 && number == math.Trunc(number) && format != "" && strings.Trim(format, "0") == "" && len(value) < len(format) {
		value = strings.Repeat("0", len(format)-len(value)) + value
	}
	return value, ""
}

func plainNumber(number float64) string {
	if number == math.Trunc(number) {
		return strconv.FormatFloat(number, 'f', -1, 64)
	}
	// Excel shows 15 digits of the 17 that it may have stored.
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(number, 'g', 15, 64), 64)
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// tokens returns those of a format of dates or times; nil for other formats.
func (d *dates) tokens(format string) []nfp.Token {
	tokens, known := d.parsed[format]
	if known {
		return tokens
	}
	if d.parsed == nil {
		d.parsed = map[string][]nfp.Token{}
	}
	d.parsed[format] = dateTokens(format)
	return d.parsed[format]
}

func dateTokens(format string) []nfp.Token {
	if format == "" || format == "General" || format == "@" || len(format) > 255 {
		return nil
	}
	parser := nfp.NumberFormatParser()
	sections := parser.Parse(format)
	if len(sections) == 0 {
		return nil
	}
	isDate := func(t nfp.Token) bool {
		return t.TType == nfp.TokenTypeDateTimes || t.TType == nfp.TokenTypeElapsedDateTimes
	}
	if !slices.ContainsFunc(sections[0].Items, isDate) {
		return nil
	}
	return sections[0].Items
}

// date shows a serial number by the tokens of its format.
func (d *dates) date(serial float64, tokens []nfp.Token) (string, bool) {
	if serial < 0 || serial > 2958466 { // the end of the year 9999
		return "", false
	}
	epoch := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	switch {
	case d.since1904:
		epoch = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	case serial < 60: // Excel believes that 1900 was a leap year
		epoch = epoch.AddDate(0, 0, 1)
	}
	seconds := math.Round(serial * 86400)
	at := epoch.Add(time.Duration(seconds) * time.Second)
	half := slices.ContainsFunc(tokens, func(t nfp.Token) bool { return isHalf(t.TValue) })
	var b strings.Builder
	for i, t := range tokens {
		switch t.TType {
		case nfp.TokenTypeDateTimes:
			part, ok := datePart(at, strings.ToLower(t.TValue), minutes(tokens, i), half)
			if !ok {
				return "", false
			}
			b.WriteString(part)
		case nfp.TokenTypeLiteral:
			b.WriteString(t.TValue)
		case nfp.TokenTypeCurrencyLanguage, nfp.TokenTypeColor, nfp.TokenTypeCondition, nfp.TokenTypeTextPlaceHolder:
		default:
			return "", false
		}
	}
	return strings.TrimSpace(b.String()), true
}

func isHalf(code string) bool {
	return slices.ContainsFunc(nfp.AmPm, func(half string) bool { return strings.EqualFold(half, code) })
}

// minutes reports whether an m means minutes.
func minutes(tokens []nfp.Token, i int) bool {
	neighbour := func(step int) string {
		for j := i + step; j >= 0 && j < len(tokens); j += step {
			if tokens[j].TType == nfp.TokenTypeDateTimes {
				return strings.ToLower(tokens[j].TValue)
			}
		}
		return ""
	}
	return strings.HasPrefix(neighbour(-1), "h") || strings.HasPrefix(neighbour(1), "s")
}

// The layouts of package time for the parts of a date. An m after hours or before seconds
// means minutes; hours have a half of the day if a part says which.
var (
	partLayouts = map[string]string{
		"yyyy": "2006", "yyy": "2006", "e": "2006", "yy": "06", "y": "06", "mm": "01", "m": "1", "mmm": "Jan", "mmmm": "January",
		"dd": "02", "d": "2", "ddd": "Mon", "dddd": "Monday", "hh": "15", "ss": "05", "s": "5", "am/pm": "PM", "a/p": "PM",
	}
	minuteLayouts = map[string]string{"mm": "04", "m": "4"}
	halfLayouts   = map[string]string{"hh": "03", "h": "3"}
)

func datePart(at time.Time, code string, minutes, half bool) (string, bool) {
	layout := partLayouts[code]
	switch {
	case minutes && strings.HasPrefix(code, "m"):
		layout = minuteLayouts[code]
	case half && strings.HasPrefix(code, "h"):
		layout = halfLayouts[code]
	case code == "h": // package time has no layout for it
		return strconv.Itoa(at.Hour()), true
	case code == "上午/下午":
		return map[bool]string{false: "上午", true: "下午"}[at.Hour() >= 12], true
	}
	return at.Format(layout), layout != ""
}

// builtinFormat returns the formats of dates that a workbook names by a number
// only (ECMA-376 part 1, 18.8.30; those from 27 on as in Chinese Excel).
func builtinFormat(id int) string {
	formats := map[int]string{
		0: "General", 1: "0", 14: "yyyy/m/d", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM",
		20: "h:mm", 21: "h:mm:ss", 22: "yyyy/m/d h:mm", 27: `yyyy"年"m"月"`, 28: `m"月"d"日"`, 29: `m"月"d"日"`, 30: "m-d-yy",
		31: `yyyy"年"m"月"d"日"`, 32: `h"时"mm"分"`, 33: `h"时"mm"分"ss"秒"`, 34: `上午/下午h"时"mm"分"`, 35: `上午/下午h"时"mm"分"ss"秒"`,
		36: `yyyy"年"m"月"`, 45: "mm:ss", 50: `yyyy"年"m"月"`, 51: `m"月"d"日"`, 52: `yyyy"年"m"月"`, 53: `m"月"d"日"`,
		54: `m"月"d"日"`, 55: `上午/下午h"时"mm"分"`, 56: `上午/下午h"时"mm"分"ss"秒"`, 57: `yyyy"年"m"月"`, 58: `m"月"d"日"`,
	}
	return formats[id]
}
