package kinds

import (
	"strconv"

	"rollcall/tasks"
)

// The headers of an asynq task: its producer's key, for display, and its run and
// row. Nothing is decided by them.
const (
	KeyHeader = "rollcall-key"
	RunHeader = "rollcall-run"
	RowHeader = "rollcall-row"
)

// Headers returns the headers of an asynq task with these options, nil for none.
func Headers(o tasks.Options) map[string]string {
	headers := map[string]string{}
	if o.Key != "" {
		headers[KeyHeader] = o.Key
	}
	if o.Run != "" {
		headers[RunHeader], headers[RowHeader] = o.Run, strconv.Itoa(o.Row)
	}
	if len(headers) == 0 {
		return nil
	}
	return headers
}

// RunOf returns the run of a task and its row there, by the headers of its asynq
// task. "": none.
func RunOf(headers map[string]string) (run string, row int) {
	row, err := strconv.Atoi(headers[RowHeader])
	if run = headers[RunHeader]; !tasks.ValidRun(run) || err != nil || row < 0 || row >= tasks.MaxRows {
		return "", 0
	}
	return run, row
}
