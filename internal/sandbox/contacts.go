package sandbox

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// The APIs that list contacts.
const (
	APIDepartment    = "v2/department/get"
	APIDepartments   = "v2/department/listsub"
	APIDepartmentIDs = "v2/department/listsubid"
	APIUsers         = "v2/user/list"
	APIUserIDs       = "user/listid"
)

const (
	rootDepartment = 1
	// mostUsers is the largest page of users.
	mostUsers = 100
)

// contactOrder is the body of a call that lists contacts.
type contactOrder struct {
	department   int64
	cursor, size int64
}

// contactEndpoints list departments and users. They are not metered.
// open.dingtalk.com/document/development/basic-interfaces-such-as-log-off-and-address-book
func contactEndpoints() []*endpoint {
	named := func(api, permission string, run func(s *Sandbox, x *exchange) outcome) *endpoint {
		return &endpoint{
			api: api, success: "0", wrongMethod: "43002", path: "/topapi/" + api, dialect: legacyDialect(), permission: permission,
			read: readContacts, identify: identifyByToken, authenticate: authenticateByQuery, run: run,
		}
	}
	const departments = "qyapi_get_department_list"
	return []*endpoint{
		named(APIDepartment, departments, runDepartment),
		named(APIDepartments, departments, runDepartments),
		named(APIDepartmentIDs, departments, runDepartmentIDs),
		named(APIUsers, "qyapi_get_department_member", runUsers),
		named(APIUserIDs, "qyapi_get_member", runUserIDs),
	}
}

func readContacts(x *exchange) *refusal {
	fields, r := readFields(x, func(kind jsontext.Kind) bool { return kind == '0' })
	if r != nil {
		return r
	}
	x.target = Target{Department: fields.Get("dept_id")}
	var order contactOrder
	for _, field := range []struct {
		name string
		into *int64
	}{{"dept_id", &order.department}, {"cursor", &order.cursor}, {"size", &order.size}} {
		if r := readNumber(fields, field.name, field.into); r != nil {
			return r
		}
	}
	if order.department == 0 {
		order.department = rootDepartment
	}
	if x.endpoint.api == APIUsers && (order.cursor < 0 || order.size < 1 || order.size > mostUsers) {
		return &refusal{code: "400002"}
	}
	x.order = order
	return nil
}

func readNumber(fields url.Values, name string, into *int64) *refusal {
	if !fields.Has(name) {
		return nil
	}
	n, err := strconv.ParseInt(fields.Get(name), 10, 64)
	if err != nil {
		return &refusal{code: "400002"}
	}
	*into = n
	return nil
}

// listed is an answer with a result.
func listed(x *exchange, result any) outcome {
	return outcome{body: struct {
		ErrCode   int    `json:"errcode"`
		ErrMsg    string `json:"errmsg"`
		Result    any    `json:"result"`
		RequestID string `json:"request_id"`
	}{0, "ok", result, x.requestID}}
}

// asked returns the department of a call. A department outside the contact scope is
// refused, except to the calls that list ids alone.
func (x *exchange) asked(everywhere bool) (contactOrder, Department, *refusal) {
	order, _ := x.order.(contactOrder)
	d, known := x.org.department(order.department)
	switch {
	case !known:
		return order, d, &refusal{code: "60003"}
	case !everywhere && x.org.hides(d):
		return order, d, &refusal{code: "50004"}
	}
	return order, d, nil
}

type departmentBody struct {
	ID     int64  `json:"dept_id"`
	Name   string `json:"name"`
	Parent int64  `json:"parent_id,omitempty"`
}

func runDepartment(_ *Sandbox, x *exchange) outcome {
	_, d, r := x.asked(false)
	if r != nil {
		return outcome{refusal: r}
	}
	return listed(x, d.body())
}

func (d Department) body() departmentBody { return departmentBody{d.ID, d.Name, d.Parent} }

func runDepartments(_ *Sandbox, x *exchange) outcome {
	order, _, r := x.asked(false)
	if r != nil {
		return outcome{refusal: r}
	}
	list := []departmentBody{}
	for _, d := range x.org.departments {
		if d.Parent == order.department && !d.Hidden {
			list = append(list, d.body())
		}
	}
	return listed(x, list)
}

func runDepartmentIDs(_ *Sandbox, x *exchange) outcome {
	order, _, r := x.asked(true)
	if r != nil {
		return outcome{refusal: r}
	}
	ids := []int64{}
	for _, d := range x.org.departments {
		if d.Parent == order.department {
			ids = append(ids, d.ID)
		}
	}
	return listed(x, struct {
		IDs []int64 `json:"dept_id_list"`
	}{ids})
}

type userBody struct {
	ID          string  `json:"userid"`
	UnionID     string  `json:"unionid,omitempty"`
	Name        string  `json:"name"`
	JobNumber   string  `json:"job_number"`
	Title       string  `json:"title"`
	Email       string  `json:"email"`
	Departments []int64 `json:"dept_id_list"`
	Active      bool    `json:"active"`
	Exclusive   bool    `json:"exclusive_account"`
}

type userPage struct {
	More bool       `json:"has_more"`
	Next *int64     `json:"next_cursor,omitempty"` // absent from the last page
	List []userBody `json:"list"`
}

func runUsers(_ *Sandbox, x *exchange) outcome {
	order, _, r := x.asked(false)
	if r != nil {
		return outcome{refusal: r}
	}
	var users []userBody
	for _, e := range x.org.employees {
		if e.Hidden || !slices.Contains(e.in(), order.department) {
			continue
		}
		users = append(users, userBody{
			ID: e.UserID, UnionID: e.UnionID, Name: e.Name, JobNumber: e.JobNumber, Title: e.Title, Email: e.Email,
			Departments: e.in(), Active: !e.Disabled, Exclusive: e.EnterpriseAccount,
		})
	}
	if x.fault != nil && x.fault.Kind == FaultLostPage && len(users) > 0 {
		users = users[:(len(users)-1)/int(order.size)*int(order.size)]
	}
	from := min(order.cursor, int64(len(users)))
	to := min(from+order.size, int64(len(users)))
	page := userPage{List: append([]userBody{}, users[from:to]...)}
	if to < int64(len(users)) {
		page.More, page.Next = true, &to
	}
	return listed(x, page)
}

func runUserIDs(_ *Sandbox, x *exchange) outcome {
	order, _, r := x.asked(true)
	if r != nil {
		return outcome{refusal: r}
	}
	ids := []string{}
	for _, e := range x.org.employees {
		if slices.Contains(e.in(), order.department) {
			ids = append(ids, e.UserID)
		}
	}
	return listed(x, struct {
		IDs []string `json:"userid_list"`
	}{ids})
}

// in returns the departments that a person is in.
func (e *Employee) in() []int64 {
	if len(e.Departments) == 0 {
		return []int64{rootDepartment}
	}
	return e.Departments
}

func (o *organisation) department(id int64) (Department, bool) {
	i := slices.IndexFunc(o.departments, func(d Department) bool { return d.ID == id })
	if i < 0 {
		return Department{}, false
	}
	return o.departments[i], true
}

// hides reports whether a department is outside the contact scope, or in one that is.
func (o *organisation) hides(d Department) bool {
	for known := true; known; d, known = o.department(d.Parent) {
		if d.Hidden {
			return true
		}
	}
	return false
}

// tree returns the departments, the root first.
func (o Organisation) tree() []Department {
	all := []Department{{ID: rootDepartment, Name: o.Name}}
	for _, d := range o.Departments {
		d.Parent = cmp.Or(d.Parent, rootDepartment)
		all = append(all, d)
	}
	return all
}

// validateDepartments checks that departments have ids of their own, and parents that
// stand before them.
func (o Organisation) validateDepartments() error {
	known := []int64{rootDepartment}
	for _, d := range o.tree()[1:] {
		switch {
		case d.ID == 0 || d.Name == "":
			return fmt.Errorf("department %d %q: want an id and a name", d.ID, d.Name)
		case slices.Contains(known, d.ID):
			return fmt.Errorf("department %d stands there already", d.ID)
		case !slices.Contains(known, d.Parent):
			return fmt.Errorf("department %d: its parent %d does not stand before it", d.ID, d.Parent)
		}
		known = append(known, d.ID)
	}
	for _, e := range o.Employees {
		for _, id := range e.Departments {
			if !slices.Contains(known, id) {
				return fmt.Errorf("employee %q is in department %d, which does not exist", e.UserID, id)
			}
		}
	}
	return nil
}
