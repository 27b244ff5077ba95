package lane

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"rollcall/internal/handler"
	"rollcall/internal/privacy"
	"rollcall/providers"
)

// people returns the names and ids in a task, and its producer's key, which may contain
// some.
func people(d handler.Delivery) []string {
	if d.Type == TypeUndecodable {
		return nil // its error names what the payload is of, and nothing in it
	}
	words := privacy.WordsOf(d.Type, d.Payload)
	if d.Key != "" {
		words = append(words, d.Key)
	}
	return words
}

// hide masks words in the texts of an attempt: they are logged, shown by asynqmon and
// stored with holds. Nothing is lost: the dead letter contains the payload.
func hide(words []string, report handler.Report, err error) (handler.Report, error) {
	report.RequestID = privacy.Redact(report.RequestID, words)
	if err == nil {
		return report, nil
	}
	hidden := &hiddenError{text: privacy.Redact(err.Error(), words), err: err}
	changed := hidden.text != err.Error()
	if e, ok := errors.AsType[*providers.Error](err); ok {
		// A copy: several attempts may share an error, such as a token's.
		masked := *e
		masked.Message, masked.RequestID = privacy.Redact(e.Message, words), privacy.Redact(e.RequestID, words)
		if e.Err != nil {
			if text := privacy.Redact(e.Err.Error(), words); text != e.Err.Error() {
				masked.Err, changed = &hiddenError{text: text, err: e.Err}, true
			}
		}
		hidden.provider = &masked
		changed = changed || masked.Message != e.Message || masked.RequestID != e.RequestID
	}
	if !changed {
		return report, err
	}
	return report, hidden
}

// hiddenError is an error whose text names no person. It unwraps to the error itself.
type hiddenError struct {
	text     string
	provider *providers.Error // a copy that names no person either; nil: it is no such error
	err      error
}

func (e *hiddenError) Error() string { return e.text }

func (e *hiddenError) Unwrap() error { return e.err }

// As finds the copy instead of the platform's own words.
func (e *hiddenError) As(target any) bool {
	p, ok := target.(**providers.Error)
	if ok && e.provider != nil {
		*p = e.provider
		return true
	}
	return false
}

// caught logs a panic of an attempt, and returns it as its error.
func caught(log *slog.Logger, value any, words []string) error {
	log.Error("panic", "value", privacy.Redact(fmt.Sprint(value), words), "stack", string(debug.Stack()))
	return &PanicError{Value: value}
}
