package ui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"mime/multipart"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/access"
	"rollcall/internal/intake"
	"rollcall/internal/kinds"
	"rollcall/internal/registry"
	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/sheet"
	"rollcall/internal/table"
	"rollcall/tasks"
)

const (
	// problemsShown bounds the problems of a file on the page.
	problemsShown = 500
	// planWithin is how long an upload waits for its plan: a short one is there at once.
	planWithin = 3 * time.Second
)

// newRun is the form of a new run, with what is wrong with it.
type newRun struct {
	Tenants, Kinds, Encodings, Guards []choice
	Tenant, Chat, Name, Sheet         string
	Canary                            string
	Chats, Keep, Other, Trust         bool

	Problem  string // of the form or the whole file
	File     string
	Rows     int // of the file
	Invalid  int // rows with problems
	Problems []roster.Problem
	More     int // problems that are not listed
}

func (u *UI) newRunPage(r *request) (view, error) {
	f, err := u.newRunForm(r)
	return show("run_new.html", "runs.new", f), err
}

// exampleFile is a workbook with the columns of a kind of change, and one row, which is for a
// tenant that there is.
func (u *UI) exampleFile(r *request) (view, error) {
	k, found := kinds.Named(tasks.Kind(r.PathValue("kind")))
	if !found {
		return view{}, errNotFound
	}
	lanes, err := registry.Read(r.Context(), u.rdb, u.now())
	if err != nil {
		return view{}, err
	}
	heads, cells := roster.Example(k, r.Lang == chinese)
	at := slices.IndexFunc(lanes, func(l registry.Lane) bool { return l.Kind == k.Name })
	if column := slices.IndexFunc(k.Example, func(c kinds.Cell) bool { return c.Column == "tenant" }); at >= 0 && column >= 0 {
		cells[column] = lanes[at].Tenant
	}
	return served(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", table.XLSX.Media())
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", string(k.Name)+".xlsx"))
		out, err := sheet.NewStream(w, table.XLSX, "", heads)
		if err == nil {
			err = errors.Join(out.Row(cells), out.Close())
		}
		if err != nil {
			u.log.Warn("example not written to the end", "kind", k.Name, "err", err)
			panic(http.ErrAbortHandler)
		}
	}), nil
}

// newRunForm returns the form as it was sent, or an empty one.
func (u *UI) newRunForm(r *request) (*newRun, error) {
	lanes, err := registry.Read(r.Context(), u.rdb, u.now())
	if err != nil {
		return nil, err
	}
	text := func(name string) string { return strings.TrimSpace(r.FormValue(name)) }
	ticked := func(name string) bool { return r.FormValue(name) != "" }
	f := &newRun{
		Tenant: r.FormValue("tenant"), Chat: text("chat"), Name: text("name"), Sheet: text("sheet"), Canary: cmp.Or(text("canary"), "20"),
		Chats: ticked("chats"), Keep: ticked("keep"), Other: ticked("other"), Trust: ticked("trust"),
	}
	var tenants []string
	for _, l := range lanes {
		tenants = append(tenants, l.Tenant)
	}
	f.Tenants = append([]choice{{Text: r.t("runs.new.tenant.file")}}, choices(tenants, f.Tenant)...)
	f.Kinds = append([]choice{{Text: r.t("runs.new.kind.file")}}, r.kinds(tasks.Kind(r.FormValue("kind")))...)
	f.Encodings = []choice{{Text: r.t("runs.new.encoding.auto")}}
	for _, name := range table.Encodings() {
		f.Encodings = append(f.Encodings, choice{Value: name, Text: strings.ToUpper(name), Chosen: name == r.FormValue("encoding")})
	}
	if r.User.May(access.Approver) {
		for _, g := range run.GuardFlags() {
			f.Guards = append(f.Guards, choice{Value: g.Flag, Text: r.t("runs.allow." + g.Guard), Chosen: slices.Contains(r.Form["allow"], g.Flag)})
		}
	}
	return f, nil
}

// kind is the name of a kind of task for a person.
func (r *request) kind(name tasks.Kind) string {
	k, known := kinds.Named(name)
	switch {
	case !known:
		return string(name)
	case r.Lang == chinese:
		return k.Label.Chinese
	}
	return k.Label.English
}

// kinds lists the kinds of task.
func (r *request) kinds(chosen tasks.Kind) []choice {
	var all []choice
	for _, kind := range kinds.Names() {
		all = append(all, choice{string(kind), r.kind(kind), kind == chosen})
	}
	return all
}

// draft is the run that the form describes.
func (f *newRun) draft(r *request) (run.Draft, error) {
	s := run.Settings{CanaryChats: f.Chats, TrustPrevious: f.Trust, OtherApprover: f.Other}
	n, err := strconv.Atoi(f.Canary)
	if err != nil || n < 0 || n > run.MaxRows {
		return run.Draft{}, &userError{key: "runs.new.error.canary"}
	}
	if s.Canary = n; n == 0 {
		s.Canary = -1 // 0 is the default of a run
	}
	if f.Name != "" && !tasks.ValidRun(f.Name) {
		return run.Draft{}, &userError{key: "runs.new.error.name"}
	}
	for _, g := range f.Guards { // none for a user who may not approve
		if g.Chosen {
			s.Allowed = append(s.Allowed, g.Value)
		}
	}
	return run.Draft{Name: f.Name, Author: r.User.By(), Settings: s}, nil
}

// makeRun checks a file, makes a run of it, and plans the run. Nothing is stored of a file with
// problems, unless the user chose so.
func (u *UI) makeRun(r *request) (view, error) {
	f, err := u.newRunForm(r)
	if err != nil {
		return view{}, err
	}
	made, err := u.upload(r, f)
	if e, ok := errors.AsType[*userError](err); ok && e.status == 0 {
		f.Problem = r.t(e.key, e.args...)
		v := show("run_new.html", "runs.new", f)
		v.status = http.StatusUnprocessableEntity
		return v, nil
	}
	if err != nil {
		return view{}, err
	}
	u.noteRun(r, "uploaded", made.ID, "")
	u.awaitPlan(r.Context(), made.ID)
	return seeOther(runAddress(made.ID), "runs.did.uploaded", f.Rows), nil
}

// upload makes a run of the file of a form. A *userError without a status is about the form.
func (u *UI) upload(r *request, f *newRun) (made run.Run, err error) {
	draft, err := f.draft(r)
	if err != nil {
		return made, err
	}
	select {
	case u.uploads <- struct{}{}:
		defer func() { <-u.uploads }()
	default:
		return made, &userError{key: "runs.new.error.busy"}
	}
	file, header, err := r.FormFile("file")
	if err != nil || header.Filename == "" {
		return made, &userError{key: "runs.new.error.file"}
	}
	defer func() { _ = file.Close() }()
	f.File = fileName(header)
	input, err := table.Spool(file)
	if err != nil {
		return made, unreadable(err)
	}
	defer func() { _ = input.Close() }()
	t, err := table.Open(input, table.Options{Encoding: r.PostFormValue("encoding"), Sheet: f.Sheet})
	if err != nil {
		return made, unreadable(err)
	}
	rows, err := roster.Open(t, roster.Options{Tenant: f.Tenant, Kind: tasks.Kind(r.PostFormValue("kind")), Chat: f.Chat, Now: u.now()})
	if err != nil {
		return made, unreadable(err)
	}
	draft.File = run.File{Name: f.File, Encoding: t.Encoding}
	return u.store(r.Context(), f, draft, rows.Rows())
}

// store checks rows, and makes a run of them.
func (u *UI) store(ctx context.Context, f *newRun, draft run.Draft, rows intake.Rows) (made run.Run, err error) {
	judge := intake.NewJudge(u.producer, tasks.Limits{})
	f.Rows, err = intake.Check(ctx, rows, judge, func(row roster.Row, refusal error) error {
		f.Invalid++
		for _, p := range row.Explain(refusal) {
			if len(f.Problems) == problemsShown {
				f.More++
				continue
			}
			p.What = onPage.Replace(p.What)
			f.Problems = append(f.Problems, p)
		}
		return nil
	})
	switch {
	case errors.Is(err, intake.ErrTooMany):
		return made, &userError{key: "runs.new.error.many", args: []any{num(run.MaxRows)}}
	case err != nil:
		return made, unread(err)
	case f.Rows == 0:
		return made, &userError{key: "runs.new.error.empty"}
	case f.Invalid > 0 && !f.Keep:
		return made, &userError{key: "runs.new.error.invalid", args: []any{num(f.Invalid), num(f.Rows)}}
	}
	if made, err = u.runs.Create(ctx, draft); err != nil {
		return made, err
	}
	in, err := intake.Add(ctx, u.runs, made.ID, 0, rows, judge, nil) // a run whose upload fails expires by itself
	if err != nil {
		return made, unread(err)
	}
	return u.runs.Seal(ctx, made.ID, in)
}

// onPage names the fields of the form where messages about files name flags of commands.
var onPage = strings.NewReplacer(
	"use --tenant", "choose the tenant", "use --kind", "choose the kind", "use --chat", "enter the chat", "--tenant", "the tenant of the form",
	"--kind", "the kind of the form", "--chat", "the chat of the form", "--encoding", "the encoding of the form", "--sheet", "the sheet of the form",
)

// unreadable returns what a user can do about a file that cannot be read.
func unreadable(err error) error {
	if _, disk := errors.AsType[*fs.PathError](err); disk {
		return err // of this machine
	}
	return &userError{key: "runs.new.error.unreadable", args: []any{onPage.Replace(err.Error())}}
}

// unread returns that for rows that cannot be read to their end. Other errors stay as they are.
func unread(err error) error {
	if e, ok := errors.AsType[*intake.UnreadableError](err); ok {
		return unreadable(e)
	}
	return err
}

// fileName is the name of a file without directories, which some browsers send.
func fileName(h *multipart.FileHeader) string {
	return path.Base(strings.ReplaceAll(h.Filename, `\`, "/"))
}

// awaitPlan begins to plan a run, and waits a moment for the plan. The page of the run shows
// how it ended.
func (u *UI) awaitPlan(ctx context.Context, id string) {
	_, _ = u.planner.Await(ctx, id, planWithin)
}
