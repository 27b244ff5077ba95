package sandbox

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// platform is the current state of the World, indexed by what a request contains. Its
// methods change it at once; the caller holds the lock of the Sandbox.
type platform struct {
	prohibitedNames []string
	prohibitedIDs   []string
	orgs            []*organisation
	apps            map[string]*app
	schools         map[string]*school
	robots          map[string]*robot  // by token
	courses         map[string]*school // where a course lives
	dingTalkIDs     map[string]bool    // over all organisations
	tokens          map[string]*app    // live and lapsed ones; the app holds the expiry
}

type organisation struct {
	name  string
	quota int
	// messageQuota is the number of robots' messages in a month; negative: none.
	messageQuota int
	robots       []*robot
	month        string // of spent, as 2006-01 in Shanghai
	spent        int
	messages     int // of robots in month
	employees    []*Employee
	externals    []string
	chats        []*Chat
	apps         []*app
	schools      []*school
	// departments do not change while the sandbox runs. The root is one of them.
	departments []Department

	// The same things again, by id.
	byUserID map[string]*Employee
	byChatID map[string]*Chat
}

type app struct {
	App

	org     *organisation
	token   string
	expires time.Time
}

type school struct {
	sid, secret string
	org         *organisation
	courses     []*Course
	byCourseID  map[string]*Course
}

func newPlatform(w World, now time.Time) (*platform, error) {
	if err := w.validate(); err != nil {
		return nil, err
	}
	p := &platform{
		prohibitedNames: slices.Clone(w.ProhibitedNames),
		prohibitedIDs:   slices.Clone(w.ProhibitedIDs),
		apps:            map[string]*app{}, schools: map[string]*school{},
		robots: map[string]*robot{}, courses: map[string]*school{}, dingTalkIDs: map[string]bool{}, tokens: map[string]*app{},
	}
	for _, id := range w.TakenIDs {
		p.dingTalkIDs[id] = true
	}
	for _, o := range w.Organisations {
		p.orgs = append(p.orgs, p.index(o, now))
	}
	return p, nil
}

func (p *platform) index(o Organisation, now time.Time) *organisation {
	org := &organisation{
		name: o.Name, quota: o.Quota, month: calendarMonth(now), spent: o.Spent,
		externals: slices.Clone(o.Externals),
		byUserID:  map[string]*Employee{}, byChatID: map[string]*Chat{},
		departments: o.tree(), messageQuota: cmp.Or(o.MessageQuota, monthlyMessages),
	}
	for _, r := range o.Robots {
		held := &robot{Robot: r, org: org, window: slidingWindow{Window: Window{Calls: robotCalls, Per: time.Minute}}}
		org.robots = append(org.robots, held)
		p.robots[r.Token] = held
	}
	for _, a := range o.Apps {
		a.Missing = slices.Clone(a.Missing)
		held := &app{App: a, org: org}
		org.apps = append(org.apps, held)
		p.apps[a.Key] = held
	}
	for _, e := range o.Employees {
		e.Departments = slices.Clone(e.Departments)
		org.employees = append(org.employees, &e)
		org.byUserID[e.UserID] = &e
		if e.DingTalkID != "" {
			p.dingTalkIDs[e.DingTalkID] = true
		}
	}
	for _, c := range o.Chats {
		held := copyChat(c)
		org.chats = append(org.chats, &held)
		org.byChatID[c.ID] = &held
	}
	for _, sc := range o.Schools {
		held := &school{sid: sc.SID, secret: sc.Secret, org: org, byCourseID: map[string]*Course{}}
		for _, c := range sc.Courses {
			c.Students = slices.Clone(c.Students)
			held.courses = append(held.courses, &c)
			held.byCourseID[c.ID] = &c
			p.courses[c.ID] = held
		}
		org.schools = append(org.schools, held)
		p.schools[sc.SID] = held
	}
	return org
}

func copyChat(c Chat) Chat {
	c.Members = slices.Clone(c.Members)
	c.Externals = slices.Clone(c.Externals)
	c.Options = maps.Clone(c.Options)
	return c
}

func (o *organisation) knowsUnionID(id string) bool {
	return slices.Contains(o.externals, id) ||
		slices.ContainsFunc(o.employees, func(e *Employee) bool { return e.UnionID != "" && e.UnionID == id })
}

func (c *Chat) member(userID string) *Member {
	for i := range c.Members {
		if c.Members[i].UserID == userID {
			return &c.Members[i]
		}
	}
	return nil
}

// State is the state of the platforms at a time.
type State struct {
	Time          time.Time           `json:"time"`
	Organisations []OrganisationState `json:"organisations"`
}

// OrganisationState is the state of an organisation. Spent counts the metered calls of
// Month, a calendar month in Shanghai ("2026-03"); Quota is the limit in effect,
// negative for none. It contains no secrets or tokens.
type OrganisationState struct {
	Organisation

	Month string `json:"month"`
	// Messages are those that robots sent in Month.
	Messages int `json:"messages,omitempty"`
}

// Organisation returns the named organisation's state. False: there is none.
func (s State) Organisation(name string) (OrganisationState, bool) {
	for _, o := range s.Organisations {
		if o.Name == name {
			return o, true
		}
	}
	return OrganisationState{}, false
}

// Nick returns a member's nickname in a chat of the organisation. False: there
// is no such member.
func (o OrganisationState) Nick(chatID, userID string) (string, bool) {
	for _, c := range o.Chats {
		if c.ID != chatID {
			continue
		}
		if m := c.member(userID); m != nil {
			return m.Nick, true
		}
	}
	return "", false
}

// State returns a copy of the current state of the platforms.
func (s *Sandbox) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	state := State{Time: now, Organisations: []OrganisationState{}}
	for _, o := range s.platform.orgs {
		o.turnMonth(now)
		state.Organisations = append(state.Organisations, s.organisationState(o))
	}
	return state
}

func (s *Sandbox) organisationState(o *organisation) OrganisationState {
	state := OrganisationState{Month: o.month, Messages: o.messages, Organisation: Organisation{
		Name: o.name, Quota: s.quotaOf(o), Spent: o.spent, Externals: slices.Clone(o.externals),
	}}
	for _, r := range o.robots {
		state.Robots = append(state.Robots, Robot{Name: r.Name})
	}
	for _, a := range o.apps {
		state.Apps = append(state.Apps, App{Key: a.Key, Missing: slices.Clone(a.Missing)})
	}
	for _, e := range o.employees {
		employee := *e
		employee.Departments = slices.Clone(e.Departments)
		state.Employees = append(state.Employees, employee)
	}
	state.Departments = slices.Clone(o.departments[1:])
	for _, c := range o.chats {
		state.Chats = append(state.Chats, copyChat(*c))
	}
	for _, sc := range o.schools {
		held := School{SID: sc.sid}
		for _, c := range sc.courses {
			course := *c
			course.Students = slices.Clone(c.Students)
			held.Courses = append(held.Courses, course)
		}
		state.Schools = append(state.Schools, held)
	}
	return state
}
