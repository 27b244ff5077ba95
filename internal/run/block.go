package run

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/kinds"
)

const (
	// blockRows is how many rows are compressed together.
	blockRows = 256
	// maxBlock bounds a block that is read, in bytes: each row has one payload of at most
	// kinds.MaxPayload, and its problems.
	maxBlock = blockRows * 2 * kinds.MaxPayload
	// flated is the first byte of a block: JSON values one after another, compressed by
	// compress/flate (ADR 0041).
	flated = 1
)

// rowRecord is a row of a run as it is stored.
type rowRecord struct {
	Line     int            `json:"l,omitzero"`
	Type     string         `json:"t,omitzero"` // asynq's; empty: the row has no task
	Payload  jsontext.Value `json:"p,omitempty"`
	Urgent   bool           `json:"u,omitzero"`
	At       int64          `json:"a,omitzero"` // Unix s
	Key      string         `json:"k,omitzero"`
	Source   string         `json:"s,omitzero"`
	Number   int64          `json:"n,omitzero"`
	Previous string         `json:"v,omitzero"`
	Problems []string       `json:"x,omitempty"`
	Of       int            `json:"o,omitzero"`
}

// planRecord is the decision on a row as it is stored.
type planRecord struct {
	Decision string `json:"d"` // the first letter of a Decision
	// Old are the known values of the fields.
	Old    map[string]string `json:"o,omitempty"`
	Stated bool              `json:"s,omitzero"` // Old is from the column previous
	Why    string            `json:"w,omitzero"`
	Look   string            `json:"q,omitzero"` // Planned.Suspicious
	// Newest is the highest revision of the fields of the target, as of the plan.
	Newest int64 `json:"n,omitzero"`
	// Ahead is the last revision of a target that was ahead of Redis' clock.
	Ahead int64 `json:"a,omitzero"`
	// Twin is the number of an earlier row that wants the same.
	Twin int `json:"t,omitzero"`
	// Revision is the row's own. 0: that of the run.
	Revision int64 `json:"r,omitzero"`

	// uncertain is the highest revision that was applied or sent to a field whose value is
	// not certain since, and replaces says that another change waits. They are not stored.
	uncertain int64
	replaces  bool
}

// exclude leaves the row out. What is known of it is still shown.
func (rec *planRecord) exclude() {
	*rec = planRecord{Decision: letters[RowExcluded], Old: rec.Old, Stated: rec.Stated}
}

var letters = map[Decision]string{
	RowChange: "c", RowNew: "n", RowUnchanged: "u", RowConflict: "x", RowImpossible: "i", RowExcluded: "e",
}

func (rec planRecord) decision() Decision {
	switch rec.Decision {
	case "c":
		return RowChange
	case "n":
		return RowNew
	case "u":
		return RowUnchanged
	case "x":
		return RowConflict
	case "e":
		return RowExcluded
	}
	return RowImpossible // or of a newer version
}

// record returns a row as it is stored. A row whose text is not valid UTF-8 keeps the
// problem alone.
func (r Row) record() rowRecord {
	o := r.Request.Options
	rec := rowRecord{
		Line: r.Line, Of: r.Of, Urgent: o.Urgent, Key: clean(o.Key), Source: clean(o.Source), Number: o.Number, Previous: clean(r.Previous),
	}
	if !o.At.IsZero() {
		rec.At = o.At.Unix()
	}
	for _, p := range r.Problems {
		rec.Problems = append(rec.Problems, clean(p))
	}
	if r.Request.Task == nil {
		if len(rec.Problems) == 0 {
			rec.Problems = []string{whyNoTask}
		}
		return rec
	}
	var err error
	if rec.Type, rec.Payload, err = kinds.Encode(r.Request.Task, 1); err != nil {
		rec.Type, rec.Payload, rec.Problems = "", nil, append(rec.Problems, clean(err.Error()))
	}
	return rec
}

// row returns the row that was stored.
func (rec rowRecord) row() Row {
	r := Row{Line: rec.Line, Of: rec.Of, Previous: rec.Previous, Problems: rec.Problems}
	o := &r.Request.Options
	o.Urgent, o.Key, o.Source, o.Number = rec.Urgent, rec.Key, rec.Source, rec.Number
	if rec.At != 0 {
		o.At = time.Unix(rec.At, 0)
	}
	if rec.Type != "" {
		task, _, err := kinds.Decode(rec.Type, rec.Payload)
		if err != nil {
			r.Problems = append(r.Problems, err.Error())
		}
		r.Request.Task = task
	}
	return r
}

func clean(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// deflaters and inflaters are kept: making one costs more than a block.
var (
	deflaters = sync.Pool{New: func() any { w, _ := flate.NewWriter(nil, flate.BestSpeed); return w }}
	inflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}
)

// pack compresses values one after another. raw are the bytes before compression.
func pack[T any](values []T) (packed, raw []byte, err error) {
	var plain bytes.Buffer
	for i := range values {
		if err := json.MarshalWrite(&plain, &values[i], json.Deterministic(true)); err != nil {
			return nil, nil, fmt.Errorf("store row %d of a block: %w", i, err)
		}
		plain.WriteByte('\n')
	}
	var out bytes.Buffer
	out.WriteByte(flated)
	w := deflaters.Get().(*flate.Writer) //nolint:forcetypeassert // the pool holds nothing else
	defer deflaters.Put(w)
	w.Reset(&out)
	_, err = w.Write(plain.Bytes())
	err = errors.Join(err, w.Close())
	return out.Bytes(), plain.Bytes(), err
}

// unpack returns the values of a block.
func unpack[T any](packed []byte) (values []T, raw []byte, err error) {
	if len(packed) == 0 || packed[0] != flated {
		return nil, nil, errors.New("the block is missing, or of a newer version")
	}
	r := inflaters.Get().(io.ReadCloser) //nolint:forcetypeassert // the pool holds nothing else
	defer inflaters.Put(r)
	if err := r.(flate.Resetter).Reset(bytes.NewReader(packed[1:]), nil); err != nil {
		return nil, nil, err
	}
	if raw, err = io.ReadAll(io.LimitReader(r, maxBlock)); err != nil {
		return nil, nil, fmt.Errorf("the block is damaged: %w", err)
	}
	for line := range bytes.Lines(raw) {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, nil, fmt.Errorf("the block is damaged: %w", err)
		}
		values = append(values, v)
	}
	return values, raw, nil
}
