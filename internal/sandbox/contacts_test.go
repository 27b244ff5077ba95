package sandbox_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"rollcall/internal/sandbox"
)

// campus has departments, one of them outside the contact scope.
func campus(cfg *sandbox.Config) {
	org := &cfg.World.Organisations[0]
	org.Departments = []sandbox.Department{
		{ID: 3, Name: "Grade 3"}, {ID: 31, Name: "Class 1", Parent: 3}, {ID: 9, Name: "Board", Hidden: true}, {ID: 91, Name: "Chair", Parent: 9},
	}
	org.Employees[0].Departments = []int64{31, 1}
	org.Employees[0].JobNumber, org.Employees[0].Title, org.Employees[0].Email = "N1", "teacher", "ann@north.example"
	for i := range 5 {
		org.Employees = append(org.Employees, sandbox.Employee{UserID: fmt.Sprintf("p%d", i), Name: "P", Departments: []int64{3}})
	}
	org.Employees = append(org.Employees, sandbox.Employee{UserID: "unseen", Departments: []int64{3}, Hidden: true})
}

func (r *rig) contacts(token, api string, fields ...string) reply {
	r.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return r.must("POST", "/topapi/"+api+"?access_token="+token, formType, form.Encode())
}

const ok = `{"errcode":0,"errmsg":"ok","result":%s,"request_id":"ID"}`

func TestContactsAreListed(t *testing.T) {
	t.Parallel()
	r := start(t, campus)
	token := r.northToken()
	ann := `{"userid":"ann","unionid":"u-ann","name":"Ann","job_number":"N1","title":"teacher","email":"ann@north.example",` +
		`"dept_id_list":[31,1],"active":true,"exclusive_account":true}`
	pupil := func(n int) string {
		return fmt.Sprintf(`{"userid":"p%d","name":"P","job_number":"","title":"","email":"","dept_id_list":[3],"active":true,"exclusive_account":false}`, n)
	}
	for _, row := range []struct {
		api    string
		fields []string
		result string
	}{
		{sandbox.APIDepartment, []string{"dept_id", "1"}, `{"dept_id":1,"name":"north"}`},
		{sandbox.APIDepartment, []string{"dept_id", "31"}, `{"dept_id":31,"name":"Class 1","parent_id":3}`},
		{sandbox.APIDepartments, nil, `[{"dept_id":3,"name":"Grade 3","parent_id":1}]`},
		{sandbox.APIDepartments, []string{"dept_id", "31"}, `[]`},
		{sandbox.APIDepartmentIDs, []string{"dept_id", "1"}, `{"dept_id_list":[3,9]}`},
		{sandbox.APIDepartmentIDs, []string{"dept_id", "9"}, `{"dept_id_list":[91]}`},
		{sandbox.APIUsers, []string{"dept_id", "31", "cursor", "0", "size", "100"}, `{"has_more":false,"list":[` + ann + `]}`},
		{sandbox.APIUsers, []string{"dept_id", "3", "size", "2"}, `{"has_more":true,"next_cursor":2,"list":[` + pupil(0) + `,` + pupil(1) + `]}`},
		{sandbox.APIUsers, []string{"dept_id", "3", "cursor", "4", "size", "2"}, `{"has_more":false,"list":[` + pupil(4) + `]}`},
		{sandbox.APIUsers, []string{"dept_id", "3", "cursor", "99", "size", "2"}, `{"has_more":false,"list":[]}`},
		{sandbox.APIUserIDs, []string{"dept_id", "3"}, `{"userid_list":["p0","p1","p2","p3","p4","unseen"]}`},
	} {
		answers(t, r.contacts(token, row.api, row.fields...), 200, fmt.Sprintf(ok, row.result))
	}
	// The vendor's own client sends JSON.
	answers(t, r.must("POST", "/topapi/"+sandbox.APIDepartmentIDs+"?access_token="+token, "application/json", `{"dept_id":1}`), 200,
		fmt.Sprintf(ok, `{"dept_id_list":[3,9]}`))
	if spent := r.north().Spent; spent != 0 {
		t.Errorf("%d calls were metered", spent)
	}
}

func TestContactsRefuseWhatTheirPagesSay(t *testing.T) {
	t.Parallel()
	r := start(t, func(cfg *sandbox.Config) {
		campus(cfg)
		cfg.World.Organisations[0].Apps[1].Missing = []string{"qyapi_get_department_list", "qyapi_get_department_member", "qyapi_get_member"}
	})
	token, bare := r.northToken(), r.fetchToken("ding-bare", "b-secret")
	for _, api := range []string{sandbox.APIDepartment, sandbox.APIDepartments, sandbox.APIUsers} {
		for _, hidden := range []string{"9", "91"} {
			if got := r.contacts(token, api, "dept_id", hidden, "size", "1"); code(got) != "50004" {
				t.Errorf("%s of a hidden department: %s", api, got.Body)
			}
		}
	}
	for _, api := range []string{sandbox.APIDepartment, sandbox.APIDepartments, sandbox.APIDepartmentIDs, sandbox.APIUsers, sandbox.APIUserIDs} {
		for name, row := range map[string]struct {
			got  reply
			want string
		}{
			"unknown":       {r.contacts(token, api, "dept_id", "77", "size", "1"), "60003"},
			"no number":     {r.contacts(token, api, "dept_id", "x", "size", "1"), "400002"},
			"no permission": {r.contacts(bare, api, "dept_id", "1", "size", "1"), "88/60011"},
			"no token":      {r.contacts("", api, "dept_id", "1", "size", "1"), "88/40000"},
			"bad token":     {r.contacts("x", api, "dept_id", "1", "size", "1"), "88/40014"},
		} {
			if code(row.got) != row.want {
				t.Errorf("%s, %s: %s, want %s", api, name, row.got.Body, row.want)
			}
		}
	}
	for _, size := range []string{"", "0", "101", "-1"} {
		if got := r.contacts(token, sandbox.APIUsers, "dept_id", "3", "size", size); code(got) != "400002" {
			t.Errorf("size %q: %s", size, got.Body)
		}
	}
}

func TestFaultsOfADepartment(t *testing.T) {
	t.Parallel()
	r := start(t, campus)
	token := r.northToken()
	if _, err := r.box.Arm(
		sandbox.Fault{API: sandbox.APIUsers, Department: "31", Kind: sandbox.FaultAnswer, Code: "50004"},
		sandbox.Fault{API: sandbox.APIUsers, Department: "3", Kind: sandbox.FaultLostPage},
	); err != nil {
		t.Fatal(err)
	}
	if got := r.contacts(token, sandbox.APIUsers, "dept_id", "31", "size", "2"); code(got) != "50004" {
		t.Errorf("a department that refuses: %s", got.Body)
	}
	got := r.contacts(token, sandbox.APIUsers, "dept_id", "3", "cursor", "2", "size", "2")
	if !strings.Contains(got.Body, `"has_more":false`) || !strings.Contains(got.Body, `"p3"`) || strings.Contains(got.Body, `"p4"`) {
		t.Errorf("the page before the last: %s", got.Body)
	}
	if got := r.contacts(token, sandbox.APIUsers, "dept_id", "1", "size", "2"); !strings.Contains(got.Body, `"errcode":0`) {
		t.Errorf("another department: %s", got.Body)
	}
	if got := r.contacts(token, sandbox.APIUserIDs, "dept_id", "3"); !strings.Contains(got.Body, `"p4"`) {
		t.Errorf("the ids: %s", got.Body)
	}
	if _, err := r.box.Arm(sandbox.Fault{API: sandbox.APIDepartments, Kind: sandbox.FaultLostPage}); err == nil {
		t.Error("a lost page of a call without pages is accepted")
	}
}

func TestDepartmentsThatContradictThemselvesAreRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"departments: [{id: 5, name: a}, {id: 5, name: b}]": "department 5 stands there already",
		"departments: [{id: 1, name: a}]":                   "department 1 stands there already",
		"departments: [{id: 5, name: a, parent: 4}]":        "its parent 4 does not stand before it",
		"departments: [{id: 5}]":                            "want an id and a name",
		"employees: [{user_id: x, departments: [5]}]":       "is in department 5, which does not exist",
	} {
		if _, err := sandbox.LoadWorld(strings.NewReader("organisations: [{name: a, " + text + "}]")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", text, err, want)
		}
	}
}
