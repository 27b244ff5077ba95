package ui

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"rollcall/internal/run"
	"rollcall/internal/runview"
	"rollcall/internal/table"
)

// fileData are the files of results that a user can have.
type fileData struct {
	May     bool // the user may see names: files are never masked
	Formats []choice
	Failed  int // rows to correct
	Other   string
}

// fileFormats are those of files of results, the usual one first.
func fileFormats() []table.Format { return []table.Format{table.XLSX, table.CSV, table.NDJSON} }

func (r *request) resultFiles(made run.Run) *fileData {
	f := &fileData{May: r.User.Names, Failed: toCorrect(made), Other: made.File.Encoding}
	for _, format := range fileFormats() {
		f.Formats = append(f.Formats, choice{Value: strings.ToLower(string(format)), Text: string(format)})
	}
	return f
}

// downloadResults streams the results of a run. The rows can be uploaded again, so that names
// and ids are in full.
func (u *UI) downloadResults(r *request) (view, error) {
	made, err := u.loadRun(r)
	if err != nil {
		return view{}, err
	}
	q := r.URL.Query()
	format := table.Format(strings.ToUpper(q.Get("format")))
	name := strings.ToLower(string(format))
	switch {
	case !slices.Contains(fileFormats(), format) || made.Plan == nil:
		return view{}, errNotFound
	case !r.User.Names:
		return view{}, &userError{key: "runs.error.names", status: http.StatusForbidden}
	}
	advice, err := runview.ReadAdvice(r.Context(), u.ledger, made)
	if err != nil {
		return view{}, err
	}
	file := runview.File{Format: format, Chinese: r.Lang == chinese, Columns: runview.Columns(made.Plan)}
	media := format.Media()
	if format == table.CSV {
		file.Encoding = made.File.Encoding
		media += "; charset=utf-8"
		if file.Encoding != "" {
			media = format.Media() + "; charset=" + strings.ToLower(file.Encoding)
		}
	}
	rows := u.runs.ResultsAfter(r.Context(), made.ID, 0, runview.Outcomes(q["outcome"])...)
	u.noteRun(r, "downloaded", made.ID, strings.TrimSpace(name+" "+strings.Join(q["outcome"], " ")))
	return served(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "rollcall-"+made.ID+"."+name))
		if err := file.Write(w, advice.All(rows, u.zone)); err != nil {
			u.log.Warn("results not written to the end", "run", made.ID, "err", err)
			panic(http.ErrAbortHandler) // no one must take a part for the whole
		}
	}), nil
}
