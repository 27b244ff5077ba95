package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// logTail reads what is added to the logs of the workers.
type logTail struct {
	files []string
	at    []int64 // how much of each is read
}

func newLogTail(files []string) *logTail {
	return &logTail{files: files, at: make([]int64, len(files))}
}

// warnings returns the whole lines since the last call that have level WARN or ERROR.
func (l *logTail) warnings() ([]string, error) {
	var found []string
	for i, name := range l.files {
		added, err := readFrom(name, l.at[i])
		if err != nil {
			return nil, fmt.Errorf("read the log of a worker: %w", err)
		}
		added = added[:bytes.LastIndexByte(added, '\n')+1]
		l.at[i] += int64(len(added))
		for line := range bytes.Lines(added) {
			if bytes.Contains(line, []byte(`"level":"WARN"`)) || bytes.Contains(line, []byte(`"level":"ERROR"`)) {
				found = append(found, string(line))
			}
		}
	}
	return found, nil
}

func readFrom(name string, at int64) (added []byte, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Seek(at, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(file)
}
