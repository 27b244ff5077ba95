package source

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"rollcall/internal/table"
)

// The files of a OneRoster bundle that are read, without ".csv".
const (
	manifestFile    = "manifest"
	usersFile       = "users"
	rolesFile       = "roles" // of version 1.2
	orgsFile        = "orgs"
	classesFile     = "classes"
	enrollmentsFile = "enrollments"
	sessionsFile    = "academicSessions"
)

var bundled = []string{manifestFile, usersFile, rolesFile, orgsFile, classesFile, enrollmentsFile, sessionsFile}

// maxDirectory bounds what is read of the list of files of a ZIP file, in bytes: it is
// kept in memory. A bundle has about 20 files.
const maxDirectory = 1 << 20

// bundle is an open OneRoster bundle.
type bundle struct {
	has     map[string]bool // names, without ".csv"
	open    func(name string) (*table.Input, error)
	content []string // paths of its content, for the version
	close   func()
}

func openBundle(at found, mostUnpacked int64) (*bundle, error) {
	if !at.directory {
		return openZip(at.path, mostUnpacked)
	}
	b := &bundle{has: map[string]bool{}, close: func() {}}
	for _, p := range at.parts {
		if name := strings.TrimSuffix(p.name, ".csv"); slices.Contains(bundled, name) {
			b.has[name] = true
			b.content = append(b.content, filepath.Join(at.path, p.name))
		}
	}
	b.open = func(name string) (*table.Input, error) {
		in, err := table.OpenFile(filepath.Join(at.path, name+".csv"))
		if err != nil {
			return nil, ofFiles(filepath.Join(at.path, name+".csv"), err)
		}
		return in, nil
	}
	return b, nil
}

func openZip(name string, mostUnpacked int64) (*bundle, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, ofFiles(name, err)
	}
	files, err := readDirectory(file, mostUnpacked)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	b := &bundle{has: map[string]bool{}, content: []string{name}, close: func() { _ = file.Close() }} // it was only read
	for name := range files {
		b.has[name] = true
	}
	b.open = func(name string) (*table.Input, error) { return unpack(files[name], mostUnpacked) }
	return b, nil
}

// readDirectory returns the files of a bundle in a ZIP file, which together may have so
// many bytes. They may be in a directory; no file is in the bundle twice.
func readDirectory(file *os.File, mostUnpacked int64) (map[string]*zip.File, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, Errorf(Down, "cannot read it: %w", err)
	}
	limited := &limitedAt{from: file, left: maxDirectory}
	archive, err := zip.NewReader(limited, info.Size())
	switch {
	case limited.left < 0:
		return nil, Errorf(TooLarge, "the list of files of the ZIP file has more than %d KiB: a OneRoster bundle has about 20 files", maxDirectory>>10)
	case err != nil:
		return nil, Errorf(Malformed, "it is not a ZIP file, or it was cut: %w: write the bundle again", err)
	}
	limited.left = math.MaxInt64
	files, total := map[string]*zip.File{}, uint64(0)
	for _, f := range archive.File {
		full := strings.ReplaceAll(f.Name, `\`, "/")
		name, isCSV := strings.CutSuffix(path.Base(full), ".csv")
		if !isCSV || strings.HasPrefix(full, "__MACOSX/") || !slices.Contains(bundled, name) {
			continue
		}
		if files[name] != nil {
			return nil, Errorf(Malformed, "%s.csv is in the ZIP file twice: write the bundle again", name)
		}
		if f.Flags&1 != 0 {
			return nil, Errorf(Malformed, "%s.csv has a password: write the bundle without one", name)
		}
		files[name] = f
		if total += min(f.UncompressedSize64, uint64(mostUnpacked)+1); total > uint64(mostUnpacked) { //nolint:gosec // it is positive
			return nil, Errorf(TooLarge, "the bundle has more than %d bytes when it is unpacked: split it, or raise max_unpacked", mostUnpacked)
		}
	}
	return files, nil
}

// limitedAt bounds how much is read, in bytes.
type limitedAt struct {
	from io.ReaderAt
	left int64
}

func (l *limitedAt) ReadAt(p []byte, at int64) (int, error) {
	if l.left -= int64(len(p)); l.left < 0 {
		return 0, errors.New("too large")
	}
	return l.from.ReadAt(p, at)
}

// unpack copies a file of a ZIP file into a temporary one.
func unpack(f *zip.File, most int64) (*table.Input, error) {
	r, err := f.Open()
	if err != nil {
		return nil, Errorf(Malformed, "the ZIP file is damaged: %w: write the bundle again", err)
	}
	defer r.Close() //nolint:errcheck // it was only read
	content := &capped{from: r, left: most, most: most}
	in, err := table.Spool(content)
	switch {
	case content.left < 0:
		err = Errorf(TooLarge, "it has more than %d bytes when it is unpacked: split it, or raise max_unpacked", most)
	case content.err != nil:
		err = Errorf(Malformed, "the ZIP file is damaged: %w: write the bundle again", content.err)
	case err != nil:
		err = ofTable(err)
	}
	if err != nil && in != nil {
		_ = in.Close() // it is temporary
	}
	return in, err
}

// version hashes the content of the bundle.
func (b *bundle) version(ctx context.Context) (string, error) {
	version := newVersion()
	for _, name := range b.content {
		file, err := os.Open(name)
		if err != nil {
			return "", ofFiles(name, err)
		}
		info, err := file.Stat()
		if err == nil {
			_, _ = fmt.Fprintf(version, "%s %d\n", filepath.Base(name), info.Size()) // a hash returns no error
			err = sum(ctx, version, file)
		}
		_ = file.Close() // it was only read
		if err != nil {
			return "", ofTable(err)
		}
	}
	return versionOf(version), nil
}

// line is a row of a file of the bundle.
type line struct {
	at     string
	index  map[string]int // of the columns
	fields []string
}

// get returns the value in a column; empty if there is no such column.
func (l line) get(column string) string {
	if i, found := l.index[column]; found {
		return l.fields[i]
	}
	return ""
}

// list returns the values of a list. In a bundle commas separate them.
func (l line) list(column string) []string {
	var all []string
	for item := range strings.SplitSeq(l.get(column), ",") {
		if item = strings.TrimSpace(item); item != "" {
			all = append(all, item)
		}
	}
	return all
}

// indexed returns the first index of each column.
func indexed(columns []string) map[string]int {
	index := make(map[string]int, len(columns))
	for i, column := range slices.Backward(columns) {
		index[column] = i
	}
	return index
}

// lines gives each row of a file to a function, which returns why a row cannot be used.
// It returns why not all of the rows could be used; empty if all could.
func (b *bundle) lines(ctx context.Context, name string, needed []string, each func(line) (unusable string, err error)) (why string, err error) {
	r := rows{needed: needed}
	var columns []string
	var index map[string]int
	to := relay{each: func(names []string, record Record) error {
		if index == nil || !slices.Equal(names, columns) {
			columns, index = names, indexed(names)
		}
		unusable, err := each(line{record.At, index, record.Fields})
		if unusable != "" {
			r.read--
			r.skip(record.At, unusable)
		}
		return err
	}}
	r.each = to.give
	in, err := b.open(name)
	if err != nil {
		return "", to.explain(name+".csv", err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	t, err := table.Open(in, table.Options{})
	if errors.Is(err, table.ErrEmpty) {
		return "", Errorf(Malformed, "%s.csv is empty, even the names of the columns are missing: write the bundle again", name)
	}
	if err != nil {
		return "", to.explain(name+".csv", ofTable(err))
	}
	if err := r.run(ctx, t); err != nil {
		return "", to.explain(name+".csv", err)
	}
	if r.skipped > 0 {
		return name + ".csv: " + r.why(), nil
	}
	return "", nil
}
