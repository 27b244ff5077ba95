package ui

import (
	"time"

	"rollcall/internal/access"
	"rollcall/internal/overview"
)

func (u *UI) nowRoutes() {
	u.handle("GET /{$}", access.Viewer, u.nowPage)
	u.handle("POST /lanes/hold", access.Operator, u.holdLane)
	u.handle("POST /lanes/release", access.Operator, u.releaseHold)
	u.handle("POST /lanes/probe", access.Operator, u.probeHold)
}

// nowData is what the page Now shows.
type nowData struct {
	*overview.State

	Class  string    // of the sentence: ok, warn or bad
	Worst  *alarm    // nil: all lanes work
	Others []alarm   // the worst first
	Rows   []laneRow // those that need a person first
	Lanes  int       // all of them
	Held   []heldRow
	Quotas []quotaRow // those that run out first
	Memory []memoryRow
	Scopes []choice // that a person can hold
	Waits  int64
	Dead   int64
	Old    bool // the state is older than the page
}

// mostRows bounds the lanes in the table, and mostQuotas the months, unless the user wants all.
const mostRows, mostQuotas = 100, 12

// laneRow is a lane in the table.
type laneRow struct {
	overview.Lane

	Spark spark
	ETA   string
	Badge badge // its state
	Dead  int64
}

// Active counts the running tasks of a lane.
func (l laneRow) Active() int64 { return l.Urgent.Active + l.Bulk.Active }

// Retries counts the tasks of a lane that wait for another attempt.
func (l laneRow) Retries() int64 { return l.Urgent.Retry + l.Bulk.Retry }

func (u *UI) nowPage(r *request) (view, error) {
	state, all := u.state.State(r.Context()), r.URL.Query().Get("lanes") == "all"
	v := show("now.html", "nav.now", func() any { return r.nowData(state, all) }).refreshed()
	if !all {
		v = v.of(state)
	}
	return v, nil
}

// nowData returns what the page shows of a state: the first lanes and months, or all.
func (r *request) nowData(state *overview.State, all bool) nowData {
	data := nowData{State: state, Class: "ok", Lanes: len(state.Lanes.Lanes), Others: r.alarms(state), Old: state.Err != nil && !state.Read.IsZero()}
	if len(data.Others) > 0 && data.Others[0].Class() != "quiet" {
		data.Worst, data.Others, data.Class = &data.Others[0], data.Others[1:], data.Others[0].Class()
	}
	dead := map[string]int64{}
	for _, d := range state.Dead {
		dead[d.Lane] += d.Count
		data.Dead += d.Count
	}
	for _, l := range state.Lanes.Lanes {
		data.Waits += l.Waits()
		if len(data.Rows) >= mostRows && !all {
			continue
		}
		data.Rows = append(data.Rows, laneRow{
			Lane: l, Spark: sparkOf(state.Rates[l.Name()]), ETA: r.eta(l), Badge: r.laneBadge(l), Dead: dead[l.Name()],
		})
	}
	for _, h := range state.Holds {
		data.Held = append(data.Held, r.heldRow(h))
	}
	data.Quotas = quotaRows(state, all)
	for _, s := range state.Servers {
		data.Memory = append(data.Memory, memoryOf(s))
	}
	data.Scopes = r.scopesOf(state)
	return data
}

// eta describes when a lane has done what waits.
func (r *request) eta(l overview.Lane) string {
	eta, known := l.ETA()
	switch {
	case l.Held():
		return r.t("now.eta.held")
	case !known:
		return "?"
	case l.Waits() == 0:
		return "–"
	}
	return r.duration(eta)
}

// laneBadge describes the state of a lane in a word or two.
func (r *request) laneBadge(l overview.Lane) badge {
	switch {
	case l.Held():
		return badge{"bad", r.t("now.lane.held")}
	case len(l.Holds) > 0:
		return badge{"warn", r.t("now.lane.bulk")}
	case l.Unseen:
		return badge{"bad", r.t("now.lane.unseen")}
	case l.Paused():
		return badge{"warn", r.t("now.lane.paused")}
	case l.Pace.Paused > 0:
		return badge{"warn", r.t("now.lane.slowed", r.duration(l.Pace.Paused))}
	case l.Pace.Share > 0 && l.Pace.Share < 1:
		return badge{"warn", r.t("now.lane.share", int(l.Pace.Share*100))}
	}
	return badge{"ok", r.t("now.lane.ok")}
}

// clock formats a time within a sentence: with its date, unless it is today.
func (r *request) clock(at time.Time) string {
	at, now := at.In(r.ui.zone), r.ui.now().In(r.ui.zone)
	if at.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return at.Format("15:04:05")
	}
	return at.Format("2006-01-02 15:04")
}
