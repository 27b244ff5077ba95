// Package logtest captures a log in a test.
package logtest

import (
	"log/slog"
	"strings"
	"sync"
)

// Buffer is a log that many goroutines write and a test reads at any time. The zero
// value is empty.
type Buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns everything that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Lines returns the lines that contain the words.
func (b *Buffer) Lines(words string) []string {
	var found []string
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, words) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// Logger returns a logger that writes text to the buffer.
func (b *Buffer) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }
