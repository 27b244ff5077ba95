package main

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/kinds"
	"rollcall/runs"
	"rollcall/tasks"
)

// The shares of the rows of the long run; the rest are nicknames. With the tasks of the
// plan, each lane has less to do than its rate allows.
const (
	rowsAttributes = 0.16
	rowsEdits      = 0.04
	rowsCourses    = 0.10
	rowsIDs        = 0.05
	// perChat is how many rows of nicknames a chat has.
	perChat = 40
	// leastCancelled is the number of rows of the run that is cancelled in the middle: its
	// calls take some seconds.
	leastCancelled = 200
)

// runSchool is the users, groups and courses of runs. No task of the plan is about them.
type runSchool struct {
	rows      int      // of the long run; 0: there are no runs
	chats     []string // of the nicknames
	cancelled []string // chats of the run that is cancelled
	pupils    []string // in all of them
	groups    []string // get attributes
	edited    []string // get and lose members
	courses   []string
	people    []string // get IDs
}

func share(of int, part float64) int { return int(float64(of) * part) }

func newRunSchool(rows int) runSchool {
	names := func(format string, n int) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf(format, i)
		}
		return all
	}
	return runSchool{
		rows: rows, chats: names("run-chat%04d", 1+rows/perChat), cancelled: names("cancelled%03d", 1+cancelledRows(rows)/perChat),
		pupils: names("run-pupil%02d", perChat), groups: names("run-group%04d", share(rows, rowsAttributes)),
		edited: names("run-edited%02d", max(2, share(rows, rowsEdits)/20)), courses: names("9%05d", share(rows, rowsCourses)),
		people: names("runner%04d", share(rows, rowsIDs)),
	}
}

func cancelledRows(rows int) int { return min(max(leastCancelled, rows/20), runs.MaxAdd) }

// runPlan is the rows of two runs, and the single changes of targets of the first.
type runPlan struct {
	long, cancelled []*change // in the order of their rows, from row 1 on
	// The single changes are acknowledged before the long run is planned, between its plan
	// and its application, and after that.
	before, between, after []*change
}

// planRuns draws the rows for a school, determined by the seed. No target has two single
// changes of the same time.
func planRuns(school school, seed uint64) *runPlan {
	d := &drawer{rand: rand.New(rand.NewPCG(seed, 5)), school: school, past: map[string][]string{}} //nolint:gosec // equal seeds must give equal plans
	p := &runPlan{}
	for _, task := range d.rowTasks() {
		w := rowOf(task)
		w.options.Urgent = d.chance(0.1)
		p.long = append(p.long, w)
		w.row = len(p.long)
		if value, ok := single(task); ok {
			d.singles(p, w, value)
		}
	}
	for i := range cancelledRows(school.runs.rows) {
		w := rowOf(tasks.NicknameSync{
			Tenant: dingtalk, ChatID: school.runs.cancelled[i/perChat], UserID: school.runs.pupils[i%perChat], Nickname: fmt.Sprintf("停%d", i),
		})
		p.cancelled = append(p.cancelled, w)
		w.row = len(p.cancelled)
	}
	n := 0
	for _, list := range [][]*change{p.before, p.between, p.after, p.long, p.cancelled} {
		for _, w := range list {
			w.n = n
			n++
		}
	}
	return p
}

func rowOf(task tasks.Task) *change {
	w := &change{task: task, outcome: tasks.NotStored}
	w.target, w.fields = kinds.Change(task, organisation)
	return w
}

// rowTasks draws the tasks of the long run, kinds mixed. The edits of a chat keep their
// order.
func (d *drawer) rowTasks() []tasks.Task {
	s := d.school.runs
	var all []tasks.Task
	for i, id := range s.groups {
		t := tasks.GroupUpdate{Tenant: dingtalk, ChatID: id, Name: fmt.Sprintf("群%d", i)}
		if d.chance(0.3) {
			t.Icon = fmt.Sprintf("@run%d", i)
		}
		all = append(all, t)
	}
	for range share(s.rows, rowsEdits) {
		t := tasks.GroupUpdate{Tenant: dingtalk, ChatID: one(d, s.edited)}
		d.members(&t)
		all = append(all, t)
	}
	for _, id := range s.courses {
		all = append(all, tasks.CourseSync{Tenant: classin, CourseID: id})
	}
	for _, id := range s.people {
		t := tasks.IDChange{Tenant: dingtalk, UserID: id, DingTalkID: "id" + id}
		if d.chance(0.2) { // belongs to somebody else
			t.DingTalkID, t.Alternatives = one(d, d.school.taken), []string{"id" + id}
		}
		all = append(all, t)
	}
	for i := 0; len(all) < s.rows; i++ {
		t := tasks.NicknameSync{Tenant: dingtalk, ChatID: s.chats[i/perChat], UserID: s.pupils[i%perChat], Nickname: fmt.Sprintf("跑%d", i)}
		if d.chance(wrong) {
			t.Nickname = fmt.Sprintf("%s %d", prohibited, i)
		}
		all = append(all, t)
	}
	d.rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// single returns a task for one value of a target of a row, given that value.
func single(task tasks.Task) (func(value string) tasks.Task, bool) {
	switch t := task.(type) {
	case tasks.NicknameSync:
		return func(value string) tasks.Task { t.Nickname = value; return t }, true
	case tasks.GroupUpdate:
		return func(value string) tasks.Task {
			return tasks.GroupUpdate{Tenant: t.Tenant, ChatID: t.ChatID, Name: value}
		}, t.Name != ""
	}
	return nil, false
}

// singles draws the single changes of a row's target. Some of the first ones give it the
// value of the row.
func (d *drawer) singles(p *runPlan, w *change, value func(string) tasks.Task) {
	add := func(list *[]*change, when, name string) {
		c := rowOf(value(name))
		c.options.Key = fmt.Sprintf("chaos/run/%s/%d", when, w.row)
		*list = append(*list, c)
	}
	name := w.fields[0].Value
	for _, f := range w.fields {
		if f.Name == "name" {
			name = f.Value
		}
	}
	if d.chance(0.03) {
		if d.chance(0.7) {
			name = fmt.Sprintf("前%d", w.row)
		}
		add(&p.before, "before", name)
	}
	if d.chance(0.02) {
		add(&p.between, "between", fmt.Sprintf("间%d", w.row))
	}
	if d.chance(0.05) {
		add(&p.after, "after", fmt.Sprintf("后%d", w.row))
	}
}

// all returns all changes. Those of one target are in the order of their revisions.
func (p *runPlan) all() (all []*change) {
	for _, list := range [][]*change{p.before, p.between, p.long, p.after, p.cancelled} {
		all = append(all, list...)
	}
	return all
}

// rows returns changes as the rows of a file.
func rows(of []*change) []runs.Row {
	all := make([]runs.Row, len(of))
	for i, w := range of {
		all[i] = runs.Row{Line: i + 2, Request: tasks.Request{Task: w.task, Options: w.options}}
	}
	return all
}

// openRunner prepares what sends the runs, if there are any.
func (s *scene) openRunner(options *redis.UniversalOptions) error {
	if s.runs == 0 {
		return nil
	}
	uploader, err := newUploader(options, s.settings, s.dir)
	if err != nil {
		return err
	}
	client, err := runs.New(runs.Config{Redis: options})
	if err != nil {
		return err
	}
	s.runner = &runner{
		client: client, rdb: s.rdb, producer: s.producer, uploader: uploader, plan: planRuns(s.school, s.seed), seed: s.seed, logf: s.logf,
	}
	return nil
}

// all returns all changes: of the plan, and of the runs and their targets.
func (s *scene) all() []*change {
	if s.runner == nil {
		return s.changes
	}
	return slices.Concat(s.changes, s.runner.plan.all())
}
