package dingtalk

import (
	"context"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json"

	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

// The calls that list contacts, as errors name them. They are not metered. Each has its
// own rate, 20 calls a second for an app.
// See https://open.dingtalk.com/document/development/basic-interfaces-such-as-log-off-and-address-book.
const (
	APIDepartment    = "v2/department/get"
	APIDepartments   = "v2/department/listsub"
	APIDepartmentIDs = "v2/department/listsubid"
	APIUsers         = "v2/user/list"
	APIUserIDs       = "user/listid"
)

// RootDepartment is the department that contains all others. Its name is that of the
// organisation.
const RootDepartment = 1

// usersAPage is the largest page of users.
const usersAPage = 100

// Department is a part of the organisation. A school's class is one.
type Department struct {
	ID   int64  `json:"dept_id"` // below 0: of the contacts of home and school
	Name string `json:"name"`
}

// User is a person of the organisation, as a list of a department has it. A field that
// is not set is empty.
type User struct {
	ID          string  `json:"userid"`
	Name        string  `json:"name"`
	JobNumber   string  `json:"job_number"`
	Title       string  `json:"title"`
	Email       string  `json:"email"`
	Departments []int64 `json:"dept_id_list"`
	Active      bool    `json:"active"` // has ever logged in
	// Exclusive means an enterprise account: only the DingTalk ID of such an account can
	// be changed.
	Exclusive bool `json:"exclusive_account"`
}

// UserPage is a page of the users of a department.
type UserPage struct {
	Users []User
	More  bool  // there is another page
	Next  int64 // the cursor of the next page; 0 without one
}

// GetDepartment returns a department. The gate is passed before each request.
// See https://open.dingtalk.com/document/development/query-department-details0-v2.
func (c *Client) GetDepartment(ctx context.Context, gate providers.Gate, id int64) (Department, error) {
	return read(ctx, c, gate, APIDepartment, ofDepartment(id), func(d Department) bool { return d.ID == id })
}

// ListDepartments returns the departments directly below one, without those that the
// app's contact scope does not contain. The gate is passed before each request.
// See https://help.dingtalk.io/zh/open/development/user-management-acquires-the-list-departments.
func (c *Client) ListDepartments(ctx context.Context, gate providers.Gate, parent int64) ([]Department, error) {
	return read(ctx, c, gate, APIDepartments, ofDepartment(parent), isList[Department])
}

// ListDepartmentIDs returns the ids of all departments directly below one, regardless of
// the app's contact scope. The gate is passed before each request.
// See https://help.dingtalk.io/zh/open/development/obtain-the-list-of-sub-department-ids.
func (c *Client) ListDepartmentIDs(ctx context.Context, gate providers.Gate, parent int64) ([]int64, error) {
	type result struct {
		IDs []int64 `json:"dept_id_list"`
	}
	r, err := read(ctx, c, gate, APIDepartmentIDs, ofDepartment(parent), func(r result) bool { return isList(r.IDs) })
	return r.IDs, err
}

// ListUsers returns one page of the users directly in a department, without those that
// the app's contact scope does not contain. The cursor of the first page is 0. The gate is
// passed before each request.
// See https://open.dingtalk.com/document/development/queries-the-complete-information-of-a-department-user.
func (c *Client) ListUsers(ctx context.Context, gate providers.Gate, department, cursor int64) (UserPage, error) {
	type result struct {
		More *bool  `json:"has_more"`
		Next *int64 `json:"next_cursor"`
		List []User `json:"list"`
	}
	form := ofDepartment(department)
	form.Set("cursor", strconv.FormatInt(cursor, 10))
	form.Set("size", strconv.Itoa(usersAPage))
	form.Set("contain_access_limit", "true")
	r, err := read(ctx, c, gate, APIUsers, form, func(r result) bool {
		// Without these fields a page could be taken for the last one.
		return r.More != nil && isList(r.List) && (!*r.More || r.Next != nil)
	})
	if err != nil {
		return UserPage{}, err
	}
	page := UserPage{Users: r.List, More: *r.More}
	if page.More {
		page.Next = *r.Next
	}
	return page, nil
}

// ListUserIDs returns the ids of all users directly in a department, regardless of the
// app's contact scope. The gate is passed before each request.
// See https://help.dingtalk.io/zh/open/development/query-the-list-of-department-userids.
func (c *Client) ListUserIDs(ctx context.Context, gate providers.Gate, department int64) ([]string, error) {
	type result struct {
		IDs []string `json:"userid_list"`
	}
	r, err := read(ctx, c, gate, APIUserIDs, ofDepartment(department), func(r result) bool { return isList(r.IDs) })
	return r.IDs, err
}

func ofDepartment(id int64) url.Values {
	return url.Values{"dept_id": {strconv.FormatInt(id, 10)}}
}

// isList reports whether an answer has a list: an empty one is not nil.
func isList[T any](list []T) bool { return list != nil }

// read carries out a call that changes nothing and returns the result of its answer. An
// answer whose result is not whole is no success.
func read[T any](ctx context.Context, c *Client, gate providers.Gate, name string, form url.Values, whole func(T) bool) (T, error) {
	a := c.contacts[name]
	var result T
	a.success = func(o apicall.Object) bool {
		var fresh T
		if o.Text("errcode") != "0" || json.Unmarshal(o["result"], &fresh) != nil || !whole(fresh) {
			return false
		}
		result = fresh
		return true
	}
	_, err := c.do(ctx, gate, a, nil, inQuery(a, form))
	return result, err
}
