package contacts

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/source"
	"rollcall/providers"
	"rollcall/providers/dingtalk"
)

// shown bounds the reasons of an incomplete reading, and the ids in one of them.
const shown = 5

// department is a department that is read.
type department struct {
	id   int64
	name string
	path string // with the names of the departments above it
}

// reading is one Read of a Source.
type reading struct {
	*Source

	columns []string
	each    func(columns []string, r source.Record) error

	tree  []department // in the order of the walk
	known map[int64]department
	seen  map[string]bool // user ids
	why   []string
	sum   hash.Hash
	// refusal is why the platform refused a department first; empty: it refused none.
	refusal string
}

func newReading(s *Source, each func(columns []string, r source.Record) error) *reading {
	return &reading{
		Source: s, columns: Columns(), each: each,
		known: map[int64]department{}, seen: map[string]bool{}, sum: sha256.New(),
	}
}

// incomplete notes why records are missing.
func (r *reading) incomplete(format string, args ...any) {
	r.why = append(r.why, fmt.Sprintf(format, args...))
}

// departments walks the departments, level by level.
func (r *reading) departments(ctx context.Context) error {
	for _, id := range r.spec.Departments {
		root, refused, err := call(ctx, r, department{id: id}, dingtalk.APIDepartment, r.client.GetDepartment)
		if err == nil && !refused {
			err = r.add(id, "", root.Name)
		}
		if err != nil {
			return err
		}
	}
	for i := 0; i < len(r.tree); i++ { //nolint:intrange // the tree grows
		if err := r.below(ctx, r.tree[i]); err != nil {
			return err
		}
	}
	return nil
}

// add adds a department to those that are read, once.
func (r *reading) add(id int64, above, name string) error {
	if _, twice := r.known[id]; twice {
		return nil
	}
	if len(r.tree) == maxDepartments {
		return source.Errorf(source.TooLarge, "there are more than %d departments; read only some of them", maxDepartments)
	}
	name = strings.ReplaceAll(name, ";", ",") // it separates the departments of a person
	d := department{id: id, name: name, path: above + name}
	r.known[id] = d
	r.tree = append(r.tree, d)
	return nil
}

// below adds the departments directly below one. Those that the app cannot see are found
// by the list of ids, which its contact scope does not limit.
func (r *reading) below(ctx context.Context, parent department) error {
	visible, refused, err := call(ctx, r, parent, dingtalk.APIDepartments, r.client.ListDepartments)
	if refused || err != nil {
		return err
	}
	all, refused, err := call(ctx, r, parent, dingtalk.APIDepartmentIDs, r.client.ListDepartmentIDs)
	if refused || err != nil {
		return err
	}
	for _, d := range visible {
		all = slices.DeleteFunc(all, func(id int64) bool { return id == d.ID })
		if slices.Contains(r.spec.Exclude, d.ID) {
			continue
		}
		if err := r.add(d.ID, parent.path+"/", d.Name); err != nil {
			return err
		}
	}
	all = slices.DeleteFunc(all, func(id int64) bool { return slices.Contains(r.spec.Exclude, id) })
	if len(all) > 0 {
		r.incomplete("%s: the app cannot see %s below it (%s): add them to the app's contact scope, or exclude them",
			parent, count(len(all), "department"), list(all))
	}
	return nil
}

// people lists the users of a department, page by page, and compares them with the list
// of ids, which the app's contact scope does not limit.
func (r *reading) people(ctx context.Context, d department) error {
	here := map[string]bool{}
	cursors := map[int64]bool{}
	for cursor, row := int64(0), 1; ; {
		cursors[cursor] = true
		list := func(ctx context.Context, gate providers.Gate, id int64) (dingtalk.UserPage, error) {
			return r.client.ListUsers(ctx, gate, id, cursor)
		}
		page, refused, err := call(ctx, r, d, dingtalk.APIUsers, list)
		if refused || err != nil {
			return err
		}
		for _, u := range page.Users {
			here[u.ID] = true
			if err := r.person(d, u, row); err != nil {
				return err
			}
			row++
		}
		if !page.More {
			break
		}
		if cursors[page.Next] {
			r.incomplete("%s: the platform returned the cursor %d twice: the pages behind it cannot be read", d, page.Next)
			return nil
		}
		if len(cursors) == maxPages {
			r.incomplete("%s: the platform returns more than %d pages", d, maxPages)
			return nil
		}
		cursor = page.Next
	}
	all, refused, err := call(ctx, r, d, dingtalk.APIUserIDs, r.client.ListUserIDs)
	if refused || err != nil {
		return err
	}
	total := len(all)
	if all = slices.DeleteFunc(all, func(id string) bool { return here[id] }); len(all) > 0 {
		r.incomplete("%s: %d of %s are not in the list: a page is missing, the app's contact scope does not contain them, or they have just joined",
			d, len(all), count(total, "person"))
	}
	return nil
}

// person passes a user on, once.
func (r *reading) person(d department, u dingtalk.User, row int) error {
	if u.ID == "" {
		return source.Errorf(source.Malformed, "%s: row %d has no user id", d, row)
	}
	if r.seen[u.ID] {
		return nil
	}
	if len(r.seen) == r.spec.Limit {
		return source.Errorf(source.TooLarge, "there are more than %d people; raise the limit, or read fewer departments", r.spec.Limit)
	}
	r.seen[u.ID] = true
	if !slices.Contains(u.Departments, d.id) {
		u.Departments = append([]int64{d.id}, u.Departments...)
	}
	var ids, names, paths []string
	for _, id := range u.Departments {
		if in, read := r.known[id]; read {
			ids, names, paths = append(ids, strconv.FormatInt(id, 10)), append(names, in.name), append(paths, in.path)
		}
	}
	fields := []string{
		u.ID, u.Name, u.JobNumber, u.Title, u.Email,
		strings.Join(ids, ";"), strings.Join(names, ";"), strings.Join(paths, ";"),
		strconv.FormatBool(u.Active), strconv.FormatBool(u.Exclusive),
	}
	for _, field := range fields {
		r.sum.Write(binary.AppendUvarint(nil, uint64(len(field))))
		r.sum.Write([]byte(field))
	}
	return r.each(r.columns, source.Record{At: fmt.Sprintf("department %d row %d", d.id, row), Fields: fields})
}

func (r *reading) result() (source.Reading, error) {
	switch {
	case len(r.seen) == 0 && r.refusal != "":
		return source.Reading{}, source.Errorf(source.Refused, "%s", r.refusal)
	case len(r.seen) == 0:
		why := strings.Join(append([]string{"the contacts have no person in the departments that are read"}, r.why...), "; ")
		return source.Reading{}, source.Errorf(source.Empty, "%s", why)
	}
	why := r.why
	if len(why) > shown {
		why = append(slices.Clone(why[:shown]), fmt.Sprintf("and %d more", len(why)-shown))
	}
	return source.Reading{
		Columns: r.columns, Complete: len(r.why) == 0, Why: strings.Join(why, "; "),
		Version: hex.EncodeToString(r.sum.Sum(nil)),
	}, nil
}

// String names a department in messages.
func (d department) String() string {
	if d.name == "" {
		return fmt.Sprintf("department %d", d.id)
	}
	return fmt.Sprintf("department %d %q", d.id, d.name)
}

func count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case what == "person":
		return fmt.Sprintf("%d people", n)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func list(ids []int64) string {
	var words []string
	for i, id := range ids {
		if i == shown {
			words = append(words, "…")
			break
		}
		words = append(words, strconv.FormatInt(id, 10))
	}
	return strings.Join(words, ", ")
}
