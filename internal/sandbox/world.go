package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"
)

// World is the state of the platforms before the first call.
type World struct {
	Organisations []Organisation `json:"organisations" yaml:"organisations"`
	// ProhibitedNames are refused anywhere in a nickname.
	ProhibitedNames []string `json:"prohibitedNames,omitempty" yaml:"prohibited_names"`
	// ProhibitedIDs are refused anywhere in a DingTalk ID.
	ProhibitedIDs []string `json:"prohibitedIds,omitempty" yaml:"prohibited_ids"`
	// TakenIDs belong to people outside all organisations of this world.
	TakenIDs []string `json:"takenIds,omitempty" yaml:"taken_ids"`
}

// Organisation is a DingTalk corp, a ClassIn institution with its schools, or
// both under one name.
type Organisation struct {
	Name      string     `json:"name"                yaml:"name"`
	Apps      []App      `json:"apps,omitempty"      yaml:"apps"`
	Employees []Employee `json:"employees,omitempty" yaml:"employees"`
	// Departments are those below the root, which has the id 1 and the name of the
	// organisation.
	Departments []Department `json:"departments,omitempty" yaml:"departments"`
	// Externals are the unionIds of outside contacts.
	Externals []string `json:"externals,omitempty" yaml:"externals"`
	Chats     []Chat   `json:"chats,omitempty"     yaml:"chats"`
	Schools   []School `json:"schools,omitempty"   yaml:"schools"`
	// Robots are custom robots of groups.
	Robots []Robot `json:"robots,omitempty" yaml:"robots"`
	// MessageQuota is the number of messages of robots a calendar month. 0: 3,000;
	// negative: none.
	MessageQuota int `json:"messageQuota,omitempty" yaml:"message_quota"`
	// Quota is the number of metered calls a calendar month. 0: the limits'
	// own; negative: none.
	Quota int `json:"quota" yaml:"quota"`
	// Spent counts the metered calls already used when the sandbox starts.
	Spent int `json:"spent" yaml:"spent"`
}

// App is one internal DingTalk app.
type App struct {
	Key    string `json:"key" yaml:"key"`
	Secret string `json:"-"   yaml:"secret"`
	// Missing are permissions that the app was not granted, e.g.
	// qyapi_chat_manage. Empty: it has all it needs.
	Missing []string `json:"missing,omitempty" yaml:"missing"`
}

// Robot is a custom robot of a group.
type Robot struct {
	Name  string `json:"name" yaml:"name"`
	Token string `json:"-"    yaml:"token"` // of its webhook
	// Secret signs. Empty: it needs no signature.
	Secret string `json:"-" yaml:"secret"`
}

// Department is a department of an organisation, such as a class.
type Department struct {
	ID     int64  `json:"id"               yaml:"id"`
	Name   string `json:"name"             yaml:"name"`
	Parent int64  `json:"parent,omitempty" yaml:"parent"` // 0: the root
	// Hidden puts the department outside the contact scope of every app.
	Hidden bool `json:"hidden,omitempty" yaml:"hidden"`
}

// Employee is one person of an organisation.
type Employee struct {
	UserID     string `json:"userId"               yaml:"user_id"`
	UnionID    string `json:"unionId,omitempty"    yaml:"union_id"`
	Name       string `json:"name,omitempty"       yaml:"name"`
	DingTalkID string `json:"dingTalkId,omitempty" yaml:"dingtalk_id"`
	// IDSetAt is when the DingTalk ID was last chosen; the lock lasts a year
	// from there. Zero: never chosen, so not locked.
	IDSetAt time.Time `json:"idSetAt,omitzero" yaml:"id_set_at"`
	// EnterpriseAccount means that the account belongs to the organisation: only the ID
	// of such an account may be changed.
	EnterpriseAccount bool `json:"enterpriseAccount"  yaml:"enterprise_account"`
	Disabled          bool `json:"disabled,omitempty" yaml:"disabled"`
	// Hidden puts the person outside the visible range of every app.
	Hidden bool `json:"hidden,omitempty" yaml:"hidden"`
	// Departments are the ids of the departments that the person is in. Empty: the root.
	Departments []int64 `json:"departments,omitempty" yaml:"departments"`
	JobNumber   string  `json:"jobNumber,omitempty"   yaml:"job_number"`
	Title       string  `json:"title,omitempty"       yaml:"title"`
	Email       string  `json:"email,omitempty"       yaml:"email"`
}

// Chat is one ordinary group, created through the server API.
type Chat struct {
	ID    string `json:"chatid" yaml:"chatid"`
	Name  string `json:"name"   yaml:"name"`
	Owner string `json:"owner"  yaml:"owner"`
	// OwnerType is emp or ext. Empty means emp.
	OwnerType string   `json:"ownerType,omitempty" yaml:"owner_type"`
	Icon      string   `json:"icon,omitempty"      yaml:"icon"`
	Members   []Member `json:"members"             yaml:"members"`
	// Externals are the unionIds of members from outside.
	Externals []string `json:"externals,omitempty" yaml:"externals"`
	// Options contains the management options that were ever set. An option that was
	// never set is missing, not 0.
	Options map[string]int `json:"options,omitempty" yaml:"options"`
}

// Member is an employee in a chat.
type Member struct {
	UserID string `json:"userId" yaml:"user_id"`
	// Nick is the nickname in this chat. Empty: none was set.
	Nick string `json:"nick,omitempty" yaml:"nick"`
}

// School is one SID with its secret and its courses.
type School struct {
	SID     string   `json:"sid"               yaml:"sid"`
	Secret  string   `json:"-"                 yaml:"secret"`
	Courses []Course `json:"courses,omitempty" yaml:"courses"`
}

// CourseState is the state of a course. The zero value is a live course.
type CourseState string

// The states of a course and the errno of each.
const (
	CourseOK      CourseState = "ok"
	CourseDeleted CourseState = "deleted" // 149
	CourseExpired CourseState = "expired" // 153
	CourseForeign CourseState = "foreign" // 144; so does a course of another school
)

// Course is one ClassIn course with its students and auditors.
type Course struct {
	ID       string      `json:"id"                 yaml:"id"`
	State    CourseState `json:"state,omitempty"    yaml:"state"`
	Students []Student   `json:"students,omitempty" yaml:"students"`
}

// Student is a student or auditor of a course.
type Student struct {
	UID string `json:"uid" yaml:"uid"`
	// Name is the name in the school's console, which the call copies.
	Name string `json:"name" yaml:"name"`
	// Nickname is the name that the class sees.
	Nickname string `json:"nickname" yaml:"nickname"`
	// Deleted accounts cannot be renamed: one gives 842, a course with only deleted
	// ones 843.
	Deleted bool `json:"deleted,omitempty" yaml:"deleted"`
}

// LoadWorld reads a World from YAML. It rejects unknown keys, and names the line of an
// error.
func LoadWorld(r io.Reader) (World, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return World{}, fmt.Errorf("read the world: %w", err)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return World{}, errors.New("world: there is nothing in it: want organisations")
	}
	var world World
	if err := yaml.Load(data, &world, yaml.WithKnownFields()); err != nil {
		return World{}, fmt.Errorf("world: %w", err)
	}
	if err := world.validate(); err != nil {
		return World{}, fmt.Errorf("world: %w", err)
	}
	return world, nil
}

// once remembers names that must not occur twice.
type once map[string]string

func (o once) claim(kind, name, owner string) error {
	if name == "" {
		return fmt.Errorf("%s: a %s has no name or id", owner, kind)
	}
	if other, taken := o[kind+"\x00"+name]; taken {
		return fmt.Errorf("%s: %s %q stands in %s already", owner, kind, name, other)
	}
	o[kind+"\x00"+name] = owner
	return nil
}

func (w World) validate() error {
	seen := once{}
	for _, id := range w.TakenIDs {
		if err := seen.claim("dingTalkId", id, "taken_ids"); err != nil {
			return err
		}
	}
	for _, org := range w.Organisations {
		if err := seen.claim("organisation", org.Name, "organisations"); err != nil {
			return err
		}
		if err := org.validate(seen); err != nil {
			return fmt.Errorf("organisation %q: %w", org.Name, err)
		}
	}
	return nil
}

// validate records in seen what is unique everywhere (app keys, SIDs, DingTalk IDs,
// course ids), and checks what is unique within the organisation.
func (o Organisation) validate(seen once) error {
	own := once{}
	for _, app := range o.Apps {
		if err := seen.claim("app key", app.Key, o.Name); err != nil {
			return err
		}
	}
	if err := o.validateDepartments(); err != nil {
		return err
	}
	for _, e := range o.Employees {
		if err := own.claim("employee", e.UserID, o.Name); err != nil {
			return err
		}
		if e.DingTalkID != "" {
			if err := seen.claim("dingTalkId", e.DingTalkID, o.Name+"/"+e.UserID); err != nil {
				return err
			}
		}
	}
	for _, chat := range o.Chats {
		if err := own.claim("chat", chat.ID, o.Name); err != nil {
			return err
		}
		if err := chat.validate(own); err != nil {
			return fmt.Errorf("chat %q: %w", chat.ID, err)
		}
	}
	for _, r := range o.Robots {
		if err := seen.claim("robot token", r.Token, o.Name); err != nil {
			return err
		}
	}
	for _, school := range o.Schools {
		if err := school.validate(seen, o.Name); err != nil {
			return err
		}
	}
	return nil
}

func (s School) validate(seen once, organisation string) error {
	if err := seen.claim("school", s.SID, organisation); err != nil {
		return err
	}
	for _, course := range s.Courses {
		if err := seen.claim("course", course.ID, s.SID); err != nil {
			return err
		}
		if !slices.Contains([]CourseState{"", CourseOK, CourseDeleted, CourseExpired, CourseForeign}, course.State) {
			return fmt.Errorf("course %q: state %q: want ok, deleted, expired or foreign", course.ID, course.State)
		}
	}
	return nil
}

func (c *Chat) validate(people once) error {
	members := once{}
	for _, m := range c.Members {
		if err := members.claim("member", m.UserID, c.ID); err != nil {
			return err
		}
		if _, known := people["employee\x00"+m.UserID]; !known {
			return fmt.Errorf("member %q is no employee of the organisation", m.UserID)
		}
	}
	if _, in := members["member\x00"+c.Owner]; c.Owner != "" && c.OwnerType != ownerOutside && !in {
		return fmt.Errorf("owner %q is not among the members", c.Owner)
	}
	return nil
}
