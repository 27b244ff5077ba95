package source

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rollcall/internal/table"
)

// Place is where files are, and when one of them may be read.
type Place struct {
	// Path is a path, or a pattern (*, ?, [a-z]) of which the newest match is read.
	// Names that begin with "." or "~$" match only if the path names them.
	Path string
	// Done is a marker that the export writes last. It begins with "." for a suffix of
	// the path: ".done" for roster.csv.done. Else it is a path, relative to the
	// directory of the file, or to a bundle that is a directory. The marker must not be
	// older than the file. Empty: no marker.
	Done string
	// Settle is how long the file must not change before it is read. 0: 5 s.
	Settle time.Duration
	// MaxAge is how long ago the file may have been modified. 0: any time.
	MaxAge time.Duration
	// MaxSize is the largest size in bytes. 0: 512 MiB, which is also the most.
	MaxSize int64
}

const defaultSettle = 5 * time.Second

// validate returns what is wrong, each beginning with the key of the configuration.
func (p Place) validate() error {
	var all []error
	if p.Path == "" {
		all = append(all, errors.New("path: missing: name a file, or a pattern such as /srv/export/*.csv"))
	}
	if _, err := filepath.Match(p.Path, ""); err != nil {
		all = append(all, fmt.Errorf("path: %q is not a valid pattern: close each [ with ]", p.Path))
	}
	if strings.ContainsAny(p.Done, "*?[") {
		all = append(all, fmt.Errorf("done: %q is a pattern: write a suffix such as .done, or one path", p.Done))
	}
	if p.Settle < 0 || p.Settle > time.Hour {
		all = append(all, fmt.Errorf("settle: %s is not between 0 and 1h", p.Settle))
	}
	return errors.Join(append(all, validAge(p.MaxAge), validSize(p.MaxSize))...)
}

func validAge(age time.Duration) error {
	if age < 0 {
		return fmt.Errorf("max_age: %s is negative: write a duration such as 20h, or 0 for no limit", age)
	}
	return nil
}

func validSize(size int64) error {
	if size < 0 || size > table.MaxSize {
		return fmt.Errorf("max_size: %d bytes is not between 0 and %d", size, table.MaxSize)
	}
	return nil
}

// found is a file, or a directory with the CSV files in it.
type found struct {
	path      string
	directory bool
	parts     []part
	modified  time.Time // of the newest part
}

type part struct {
	name     string // in the directory; empty for a file
	size     int64
	modified time.Time
}

func (f found) same(other found) bool {
	return f.path == other.path && slices.EqualFunc(f.parts, other.parts, func(a, b part) bool {
		return a.name == b.name && a.size == b.size && a.modified.Equal(b.modified)
	})
}

func (f found) size() int64 {
	sum := int64(0)
	for _, p := range f.parts {
		sum += p.size
	}
	return sum
}

// find returns the newest match, if it may be read: it waits to see that the match does
// not change. Without directories, a pattern does not match them.
func (p Place) find(ctx context.Context, directories bool) (found, error) {
	first, err := p.newest(directories)
	if err != nil {
		return found{}, err
	}
	select {
	case <-ctx.Done():
		return found{}, interrupted(ctx)
	case <-time.After(cmp.Or(p.Settle, defaultSettle)):
	}
	second, err := p.newest(directories)
	switch {
	case err != nil:
		return found{}, err
	case !first.same(second):
		return found{}, Errorf(NotReady, "%s is still being written: read it later, or write it under another name and rename it", second.path)
	case second.size() > cmp.Or(p.MaxSize, table.MaxSize):
		return found{}, Errorf(TooLarge, "%s has %d bytes, the limit is %d: split it, or raise max_size", second.path, second.size(), cmp.Or(p.MaxSize, table.MaxSize))
	case second.size() == 0:
		return found{}, Errorf(Empty, "%s is empty: check the export that writes it", second.path)
	}
	if err := p.done(second); err != nil {
		return found{}, err
	}
	if err := tooOld(second.modified, p.MaxAge); err != nil {
		return found{}, Errorf(NotReady, "%s: %w", second.path, err)
	}
	return second, nil
}

// unchanged refuses what changed while it was read.
func (p Place) unchanged(before found) error {
	after, err := look(before.path)
	if err != nil || !before.same(after) {
		return Errorf(NotReady, "%s changed while it was read: read it later, or write it under another name and rename it", before.path)
	}
	return nil
}

// newest returns the match that was modified last; of several the last by name.
func (p Place) newest(directories bool) (found, error) {
	paths, err := p.matches()
	if err != nil {
		return found{}, err
	}
	best := found{}
	for _, path := range paths {
		one, err := look(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was removed since it matched
		}
		if err != nil {
			return found{}, ofFiles(path, err)
		}
		if one.directory && !directories && path != p.Path {
			continue
		}
		if best.path == "" || !one.modified.Before(best.modified) {
			best = one
		}
	}
	if best.path == "" {
		return found{}, Errorf(Missing, "no file is called %s: check the path and the export that writes it", p.Path)
	}
	return best, nil
}

// matches returns the paths that Path means, in the order of their names.
func (p Place) matches() ([]string, error) {
	_, err := os.Lstat(p.Path)
	switch {
	case err == nil:
		return []string{p.Path}, nil
	case !strings.ContainsAny(p.Path, "*?["):
		return nil, ofFiles(p.Path, err)
	}
	all, err := filepath.Glob(p.Path)
	if err != nil {
		return nil, &Error{Malformed, err}
	}
	named := strings.HasPrefix(filepath.Base(p.Path), ".")
	all = slices.DeleteFunc(all, func(path string) bool {
		base := filepath.Base(path)
		marker := p.Done != "" && (base == p.Done || strings.HasPrefix(p.Done, ".") && strings.HasSuffix(base, p.Done))
		return marker || !named && strings.HasPrefix(base, ".") || strings.HasPrefix(base, "~$")
	})
	if len(all) > 0 {
		return all, nil
	}
	// Glob does not report a directory that cannot be read.
	directory := filepath.Dir(p.Path)
	for strings.ContainsAny(directory, "*?[") {
		directory = filepath.Dir(directory)
	}
	if _, err := os.ReadDir(directory); err != nil {
		return nil, ofFiles(directory, err)
	}
	return nil, nil
}

func look(path string) (found, error) {
	info, err := os.Stat(path)
	if err != nil {
		return found{}, err
	}
	switch {
	case info.IsDir():
	case !info.Mode().IsRegular():
		return found{}, errors.New("it is a pipe or a device: name a regular file")
	default:
		return found{path: path, parts: []part{{"", info.Size(), info.ModTime()}}, modified: info.ModTime()}, nil
	}
	one := found{path: path, directory: true}
	entries, err := os.ReadDir(path)
	if err != nil {
		return found{}, err
	}
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".csv" {
			continue
		}
		info, err := os.Stat(filepath.Join(path, entry.Name()))
		if err != nil {
			return found{}, err
		}
		one.parts = append(one.parts, part{entry.Name(), info.Size(), info.ModTime()})
		if info.ModTime().After(one.modified) {
			one.modified = info.ModTime()
		}
	}
	return one, nil
}

// done looks for the marker.
func (p Place) done(f found) error {
	if p.Done == "" {
		return nil
	}
	marker := p.Done
	switch {
	case strings.HasPrefix(marker, "."):
		marker = f.path + marker
	case filepath.IsAbs(marker):
	case f.directory:
		marker = filepath.Join(f.path, marker)
	default:
		marker = filepath.Join(filepath.Dir(f.path), marker)
	}
	info, err := os.Stat(marker)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Errorf(NotReady, "%s is not finished: its done-marker %s does not exist", f.path, marker)
	case err != nil:
		return ofFiles(marker, err)
	case info.ModTime().Before(f.modified):
		return Errorf(NotReady, "%s is not finished: its done-marker %s is older than it", f.path, marker)
	}
	return nil
}

// sum adds content to a hash, until ctx ends.
func sum(ctx context.Context, to hash.Hash, from io.Reader) error {
	buffer := make([]byte, 1<<16)
	for {
		if err := interrupted(ctx); err != nil {
			return err
		}
		n, err := from.Read(buffer)
		_, _ = to.Write(buffer[:n]) // a hash returns no error
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// newVersion begins the hash of a version.
func newVersion() hash.Hash { return sha256.New() }

// versionOf returns the version that a hash means.
func versionOf(of hash.Hash) string { return "sha256:" + hex.EncodeToString(of.Sum(nil)) }
