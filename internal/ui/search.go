package ui

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/ledger"
	"rollcall/internal/privacy"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

const (
	foundOnPage = 20
	// searchSteps bounds what one page reads: about 1,000 targets a step.
	searchSteps = 20
	// longestWord bounds what is searched for, in bytes.
	longestWord = 200
)

func (u *UI) searchRoutes() {
	u.handleMasked("/search", func(r *request) audit.Event {
		return audit.Event{Level: "page", Name: "search", Reason: "a search for " + privacy.Mask(r.URL.Query().Get("q"))}
	}, u.searchPage)
}

// foundTarget is a target that a search found.
type foundTarget struct {
	Key, KindName, Tenant string
	Values                []string // that were applied
	State                 badge
	Dead                  string // address of the dead letter of the latest change; empty: none
	Confirmed             time.Time
	Address               string
}

// found is what the page of a search shows.
type foundPage struct {
	Query         string
	Organisation  string
	Organisations []choice
	Kinds         []choice
	Rows          []foundTarget
	Searched      bool
	Read          int    // targets, rounded to the steps
	Bounded       bool   // there are more targets than were read
	Next          string // address of the next page; empty: all was read
	First         string
	Personal      bool
}

// place is where a page of a search begins: an API, a cursor of it, and how many that were found
// from there on are on earlier pages.
type place struct {
	api    int
	cursor string
	skip   int
}

func (p place) String() string { return fmt.Sprintf("%d.%s.%d", p.api, cmp.Or(p.cursor, "0"), p.skip) }

func parsePlace(text string) (p place, ok bool) {
	if text == "" {
		return place{}, true
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return place{}, false
	}
	_, err := fmt.Sscan(parts[0]+" "+parts[2], &p.api, &p.skip)
	p.cursor = parts[1]
	return p, err == nil && p.api >= 0 && p.skip >= 0 && p.cursor != "" && strings.Trim(p.cursor, "0123456789") == "" && len(p.cursor) <= 20
}

func (u *UI) searchPage(r *request, personal bool) (view, error) {
	q := r.URL.Query()
	word := strings.TrimSpace(q.Get("q"))
	page := foundPage{Query: word, Organisation: q.Get("organisation"), Personal: personal}
	from, ok := parsePlace(q.Get("from"))
	if personal && word == "" { // there is nothing to show
		return view{}, errNotFound
	}
	if len(word) > longestWord || !ok {
		return view{}, &userError{key: "search.long", args: []any{num(longestWord)}}
	}
	lanes, err := registry.Read(r.Context(), u.rdb, time.Time{})
	if err != nil {
		return view{}, err
	}
	var organisations []string
	for _, l := range lanes {
		organisations = append(organisations, l.Organisation)
	}
	kind := tasks.Kind(q.Get("kind"))
	page.Organisations, page.Kinds = choices(organisations, page.Organisation), r.kinds(kind)
	apis := registry.APIs(slices.DeleteFunc(lanes, func(l registry.Lane) bool {
		return page.Organisation != "" && page.Organisation != l.Organisation || kind != "" && kind != l.Kind
	}))
	if page.Searched = word != ""; page.Searched {
		found, err := u.search(r.Context(), apis, word, from)
		if err != nil {
			return view{}, err
		}
		if err := u.fillFound(r, &page, found, lanes); err != nil {
			return view{}, err
		}
		if found.more {
			q.Set("from", found.next.String())
			page.Next = "/search?" + q.Encode()
		}
		if q.Get("from") != "" {
			q.Del("from")
			page.First = "/search?" + q.Encode()
		}
	}
	return show("search.html", "search.title", page), nil
}

// searched is one page of a search.
type searched struct {
	found []foundIn
	next  place
	more  bool // there may be more from next on
	steps int
}

type foundIn struct {
	ledger.Found

	lane registry.Lane
}

// search reads from a place until a page is full, all targets were read, or searchSteps steps
// were. One round trip for each step.
func (u *UI) search(ctx context.Context, apis []registry.Lane, word string, from place) (s searched, err error) {
	for at := from; at.api < len(apis); {
		if s.steps == searchSteps {
			s.next, s.more = at, true
			return s, nil
		}
		s.steps++
		lane := apis[at.api]
		found, next, err := u.ledger.FindStep(ctx, lane.Organisation, string(lane.Kind), word, at.cursor)
		if err != nil {
			return s, err
		}
		slices.SortFunc(found, func(a, b ledger.Found) int { return strings.Compare(a.Target.Key, b.Target.Key) })
		for i, f := range found {
			if i < at.skip {
				continue
			}
			if len(s.found) == foundOnPage {
				s.next, s.more = place{at.api, at.cursor, i}, true
				return s, nil
			}
			s.found = append(s.found, foundIn{f, lane})
		}
		at.skip, at.cursor = 0, next
		if next == "" {
			at.api++
		}
	}
	return s, nil
}

func (u *UI) fillFound(r *request, page *foundPage, s searched, lanes []registry.Lane) error {
	page.Read, page.Bounded = 1000*s.steps, s.more && s.steps == searchSteps
	dead, err := u.deadOf(r.Context(), s.found, lanes)
	if err != nil {
		return err
	}
	sealed, err := newSeal(r.Context(), u.rdb)
	if err != nil {
		return err
	}
	for _, f := range s.found {
		row := foundTarget{
			Key: f.Target.Key, KindName: r.kind(f.lane.Kind), Tenant: f.lane.Tenant, Confirmed: f.Confirmed,
			Address: sealed.target(f.lane.Tenant, f.lane.Kind, f.Target.Key),
		}
		state := stateOf(f.Record)
		if row.Dead = dead[waitsFor(f.Record)]; row.Dead != "" && state == "waiting" {
			state = "failed"
		}
		row.State = badge{cmp.Or(map[string]string{"applied": "ok", "waiting": "warn"}[state], "bad"), r.t("search.state." + state)}
		if !page.Personal {
			row.Key = privacy.Target(f.lane.Kind, row.Key)
		}
		for _, name := range slices.Sorted(maps.Keys(f.Fields)) {
			value := f.Fields[name].Value
			if value == "" {
				continue
			}
			if !page.Personal {
				value = privacy.Value(f.lane.Kind, name, value)
			}
			row.Values = append(row.Values, r.named("field.", name)+": "+value)
		}
		page.Rows = append(page.Rows, row)
	}
	return nil
}

// waitsFor returns the task of a change that was not applied; empty: there is none.
func waitsFor(r ledger.Record) string {
	for _, name := range r.Names() {
		if f := r.Fields[name]; f.Latest > f.Applied && f.TaskID != "" {
			return f.TaskID
		}
	}
	return ""
}

// mostLanesOfFound bounds the lanes in which dead letters of a page of a search are looked for:
// each costs a command.
const mostLanesOfFound = 20

// deadOf returns addresses of the dead letters of changes that were found and not applied, by
// task. A tenant of the same organisation may have enqueued it.
func (u *UI) deadOf(ctx context.Context, found []foundIn, lanes []registry.Lane) (map[string]string, error) {
	ids := map[string][]string{} // by lane
	for _, f := range found {
		id := waitsFor(f.Record)
		for _, l := range lanes {
			name := registry.Queue(l.Tenant, l.Kind, false)
			if id != "" && l.Organisation == f.lane.Organisation && l.Kind == f.lane.Kind && (ids[name] != nil || len(ids) < mostLanesOfFound) {
				ids[name] = append(ids[name], id)
			}
		}
	}
	addresses := map[string]string{}
	for lane, all := range ids {
		without, err := u.ledger.WithoutDeadLetter(ctx, lane, all)
		if err != nil {
			return nil, err
		}
		for _, id := range all {
			if !slices.Contains(without, id) {
				addresses[id] = deadAddress(lane, id)
			}
		}
	}
	return addresses, nil
}

// stateOf summarises a record that a search read.
func stateOf(r ledger.Record) string {
	state := "applied"
	for _, f := range r.Fields {
		switch {
		case f.Unknown != 0:
			return "unknown"
		case f.Latest > f.Applied:
			state = "waiting"
		}
	}
	if len(r.Damaged) > 0 {
		return "damaged"
	}
	return state
}
