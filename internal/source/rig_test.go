package source_test

import (
	"context"
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
	"go.uber.org/goleak"
	"golang.org/x/text/encoding/simplifiedchinese"

	"rollcall/internal/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon is a time to settle that tests need not wait for.
const soon = time.Nanosecond

// got is all that a source gave.
type got struct {
	source.Reading

	at      []string
	records []map[string]string
}

// read reads a source that can be read.
func read(t *testing.T, s source.Source) got {
	t.Helper()
	all, err := try(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func try(ctx context.Context, s source.Source) (got, error) {
	var all got
	reading, err := s.Read(ctx, func(columns []string, r source.Record) error {
		if len(columns) != len(r.Fields) {
			return errors.New("a record has other columns than values")
		}
		record := map[string]string{}
		for i, column := range columns {
			if r.Fields[i] != "" {
				record[column] = r.Fields[i]
			}
		}
		all.at, all.records = append(all.at, r.At), append(all.records, record)
		return nil
	})
	all.Reading = reading
	return all, err
}

// fails checks that a source cannot be read, why, and that the message holds some words.
func fails(t *testing.T, s source.Source, cause source.Cause, words ...string) {
	t.Helper()
	_, err := try(t.Context(), s)
	failed(t, err, cause, words...)
}

func failed(t *testing.T, err error, cause source.Cause, words ...string) {
	t.Helper()
	fault, ok := errors.AsType[*source.Error](err)
	if !ok || fault.Cause != cause {
		t.Errorf("error %v, want one with the cause %q", err, cause)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not contain %q", err, word)
		}
	}
}

// write writes a file, and returns its path.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// age sets how long ago a file was modified.
func age(t *testing.T, path string, ago time.Duration) {
	t.Helper()
	at := time.Now().Add(-ago)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func gb18030(t *testing.T, text string) string {
	t.Helper()
	encoded, err := simplifiedchinese.GB18030.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// workbook returns an XLSX file of rows.
func workbook(t *testing.T, rows ...[]any) string {
	t.Helper()
	book := excelize.NewFile()
	defer book.Close()
	for i, row := range rows {
		if err := book.SetSheetRow("Sheet1", "A"+string(rune('1'+i)), &row); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	if err := book.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// csvOf returns a CSV file of rows.
func csvOf(t interface{ Fatal(...any) }, rows ...[]string) string {
	var b strings.Builder
	if err := csv.NewWriter(&b).WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
