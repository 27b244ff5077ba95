package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/readfile"
	"rollcall/internal/secret"
)

// Bounds in bytes: of a secret, a certificate, a configuration.
const (
	secretMax = 64 << 10
	pemMax    = 1 << 20
	configMax = 4 << 20
)

// Source is where a secret is read from: the environment variable Env, or the file
// File. Value is what Load read there; the zero Source has none.
type Source struct {
	Env   string      `yaml:"env"`
	File  string      `yaml:"file"`
	Value secret.Text `yaml:"-"`
}

// IsZero reports whether no source is given.
func (s Source) IsZero() bool { return s.Env == "" && s.File == "" }

// String names the source, never the secret.
func (s Source) String() string {
	switch {
	case s.Env != "":
		return "$" + s.Env
	case s.File != "":
		return s.File
	}
	return ""
}

// read returns the secret, or an error about its source.
func (s Source) read(getenv func(string) string, dir string) (secret.Text, error) {
	if s.Env != "" {
		if v := withoutLineEnds(getenv(s.Env)); v != "" {
			return secret.New(v), nil
		}
		return secret.Text{}, fmt.Errorf("comes from the environment variable %s, which is not set or empty; set it before the worker starts", s.Env)
	}
	path := resolvePath(dir, s.File)
	content, err := readPrivate(path, secretMax)
	if err != nil {
		return secret.Text{}, err
	}
	value := withoutLineEnds(string(content))
	if value == "" {
		return secret.Text{}, fmt.Errorf("comes from the file %s, which is empty; write the secret into it", path)
	}
	return secret.New(value), nil
}

// withoutLineEnds removes the line ends that an editor or a command adds.
func withoutLineEnds(text string) string { return strings.TrimRight(text, "\r\n") }

// readPrivate reads a regular file of at most most bytes that others cannot read.
func readPrivate(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = readfile.ErrNotRegular
	}
	if err != nil {
		return nil, fmt.Errorf("comes from the file %s, %s", path, reason(err))
	}
	// Windows has access lists instead of a mode: Go reports 0666 for most files.
	if perm := info.Mode().Perm(); perm&0o007 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("comes from the file %s, which others can read or write (mode %04o); run: chmod o-rwx %s", path, perm, path)
	}
	content, err := readfile.Whole(path, most)
	if err != nil {
		return nil, fmt.Errorf("comes from the file %s, %s", path, reason(err))
	}
	return content, nil
}

// reason explains to a person why a file could not be read.
func reason(err error) string {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "which does not exist; create it, or correct the path"
	case errors.Is(err, os.ErrPermission):
		return "which the user that runs this may not read; give it to that user or a group of theirs"
	case errors.Is(err, readfile.ErrNotRegular):
		return "which is not a regular file; directories, pipes and devices are not read"
	}
	if long, ok := errors.AsType[*readfile.TooLongError](err); ok {
		return fmt.Sprintf("which is longer than %d KiB; check that it is the right file", long.Max>>10)
	}
	if fault, ok := errors.AsType[*os.PathError](err); ok {
		return "which cannot be read: " + fault.Err.Error()
	}
	return "which cannot be read"
}

// resolvePath resolves a path in a file of the directory dir.
func resolvePath(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// Duration is a length of time written with its unit: 15s, 2m.
type Duration time.Duration

// String leaves out zero parts: 2m, not 2m0s.
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// UnmarshalText implements encoding.TextUnmarshaler. A number without a unit is
// rejected, because it is ambiguous.
func (d *Duration) UnmarshalText(text []byte) error {
	if _, err := strconv.ParseFloat(string(text), 64); err == nil {
		return fmt.Errorf("is %s, without a unit; write it as in 15s, 500ms or 2m", text)
	}
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("is %q, which is not a length of time; write it as in 15s, 500ms or 2m", text)
	}
	*d = Duration(v)
	return nil
}
