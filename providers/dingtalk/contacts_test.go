package dingtalk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/providers"
	"rollcall/providers/dingtalk"
	"rollcall/providers/providertest"
)

// contactCalls are the calls that list contacts, with the documented success of each.
func contactCalls() map[string]struct {
	done string
	call func(context.Context, *dingtalk.Client, providers.Gate) error
} {
	return map[string]struct {
		done string
		call func(context.Context, *dingtalk.Client, providers.Gate) error
	}{
		dingtalk.APIDepartment: {
			`{"errcode":0,"errmsg":"ok","result":{"dept_id":7,"name":"Class 7"}}`,
			func(ctx context.Context, c *dingtalk.Client, gate providers.Gate) error {
				_, err := c.GetDepartment(ctx, gate, 7)
				return err
			},
		},
		dingtalk.APIDepartments: {
			`{"errcode":0,"errmsg":"ok","result":[{"dept_id":7,"name":"Class 7"}]}`,
			func(ctx context.Context, c *dingtalk.Client, gate providers.Gate) error {
				_, err := c.ListDepartments(ctx, gate, 7)
				return err
			},
		},
		dingtalk.APIDepartmentIDs: {
			`{"errcode":0,"errmsg":"ok","result":{"dept_id_list":[7]}}`,
			func(ctx context.Context, c *dingtalk.Client, gate providers.Gate) error {
				_, err := c.ListDepartmentIDs(ctx, gate, 7)
				return err
			},
		},
		dingtalk.APIUsers: {
			`{"errcode":0,"errmsg":"ok","result":{"has_more":false,"list":[{"userid":"u1","name":"n"}]}}`,
			func(ctx context.Context, c *dingtalk.Client, gate providers.Gate) error {
				_, err := c.ListUsers(ctx, gate, 7, 0)
				return err
			},
		},
		dingtalk.APIUserIDs: {
			`{"errcode":0,"errmsg":"ok","result":{"userid_list":["u1"]}}`,
			func(ctx context.Context, c *dingtalk.Client, gate providers.Gate) error {
				_, err := c.ListUserIDs(ctx, gate, 7)
				return err
			},
		},
	}
}

// The calls that list contacts pass all conformance tests, too; under -short one of them
// stands for all.
func TestCallsThatListContactsConform(t *testing.T) {
	t.Parallel()
	for api, c := range contactCalls() {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && api != dingtalk.APIUsers {
				t.Skip("the same code as v2/user/list: make test-long")
			}
			var tokens atomic.Int64
			providertest.Run(t, providertest.Subject{
				Platform: "dingtalk", API: api, Path: "/topapi/" + api, Status: 200, Bans: true,
				Done: c.done, Throttle: "90018", Quick: "400001", Refusal: refusal, Rows: dingtalk.CodesFor(api),
				Secrets: []string{appSecret, token, "t0ken%2Bwith"},
				Side: func(w http.ResponseWriter, _ *http.Request) {
					fmt.Fprintf(w, `{"accessToken":"%s%d","expireIn":7200}`, token, tokens.Add(1))
				},
				Open: func(t testing.TB, setting providertest.Setting) providertest.Call {
					client := open(t, setting)
					return func(ctx context.Context, gate providers.Gate) (providers.Receipt, error) {
						// Every request passes the gate, and here every pass is a request.
						var receipt providers.Receipt
						counting := gate
						if gate != nil {
							counting = func(ctx context.Context) error { receipt.Sends++; return gate(ctx) }
						}
						return receipt, c.call(ctx, client, counting)
					}
				},
			})
		})
	}
}

// The request of each call, and what is read from its answer.
func TestContactsAreReadAsDocumented(t *testing.T) {
	t.Parallel()
	var asked url.Values
	answer := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/accessToken") {
			_, _ = io.WriteString(w, `{"accessToken":"t","expireIn":7200}`)
			return
		}
		if r.URL.Query().Get("access_token") != "t" || r.ParseForm() != nil {
			t.Errorf("%s: no token in the query, or no form", r.URL)
		}
		asked = r.PostForm
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	c := open(t, providertest.Setting{URL: server.URL})
	ctx := t.Context()
	check := func(what string, err error, want, got any, request url.Values) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if diff := cmp.Diff(request, asked); diff != "" {
			t.Errorf("request of %s (-want +got):\n%s", what, diff)
		}
	}
	ofSeven := url.Values{"dept_id": {"7"}}

	answer = `{"errcode":0,"errmsg":"ok","result":{"dept_id":7,"name":"Class 7","parent_id":1,"order":1},"request_id":"r"}`
	d, err := c.GetDepartment(ctx, free, 7)
	check("department", err, dingtalk.Department{ID: 7, Name: "Class 7"}, d, ofSeven)

	answer = `{"errcode":"0","result":[{"dept_id":8,"name":"A","auto_add_user":true},{"dept_id":-7,"name":"B"}]}`
	all, err := c.ListDepartments(ctx, free, 7)
	check("departments", err, []dingtalk.Department{{ID: 8, Name: "A"}, {ID: -7, Name: "B"}}, all, ofSeven)

	answer = `{"errcode":0,"result":[]}`
	all, err = c.ListDepartments(ctx, free, 7)
	check("no departments", err, []dingtalk.Department{}, all, ofSeven)

	answer = `{"errcode":0,"result":{"dept_id_list":[8,9]}}`
	ids, err := c.ListDepartmentIDs(ctx, free, 7)
	check("ids of departments", err, []int64{8, 9}, ids, ofSeven)

	answer = `{"errcode":0,"result":{"userid_list":["u1","u2"]}}`
	users, err := c.ListUserIDs(ctx, free, 7)
	check("ids of users", err, []string{"u1", "u2"}, users, ofSeven)

	answer = `{"errcode":0,"result":{"has_more":true,"next_cursor":10,"list":[{"userid":"u1","unionid":"x","name":"张三","job_number":"4",
		"title":"teacher","email":"a@b","dept_id_list":[2,3],"active":true,"exclusive_account":true,"leader":false,"hired_date":1597573616828}]}}`
	page, err := c.ListUsers(ctx, free, 7, 5)
	check("users", err, dingtalk.UserPage{More: true, Next: 10, Users: []dingtalk.User{{
		ID: "u1", Name: "张三", JobNumber: "4", Title: "teacher", Email: "a@b", Departments: []int64{2, 3}, Active: true, Exclusive: true,
	}}}, page, url.Values{"dept_id": {"7"}, "cursor": {"5"}, "size": {"100"}, "contain_access_limit": {"true"}})

	answer = `{"errcode":0,"result":{"has_more":false,"next_cursor":99,"list":[]}}`
	page, err = c.ListUsers(ctx, free, 7, 10)
	if err != nil || page.More || page.Next != 0 || len(page.Users) != 0 {
		t.Errorf("the last page: %+v, %v", page, err)
	}
}

func TestARefusedDepartmentIsRejectedAndAMissingPermissionIsMisconfigured(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.status = 200
	for code, want := range map[string]verdict{
		"60003": {providers.Rejected, providers.ScopeTask}, "50004": {providers.Rejected, providers.ScopeTask},
		"60011": {providers.Misconfigured, providers.ScopeLane}, "60020": {providers.Misconfigured, providers.ScopeTenant},
		"90018": {providers.Throttled, providers.ScopeLane}, "0": {providers.Transient, providers.ScopeTask},
		"1234567": {providers.Unknown, providers.ScopeTask},
	} {
		s.body = `{"errcode":` + code + `,"errmsg":"m"}`
		for api, c := range contactCalls() {
			err := c.call(t.Context(), s.Client, free)
			judged(t, api, err, want, code)
			if e, ok := errors.AsType[*providers.Error](err); ok && e.Fix == "" {
				t.Errorf("%s %s does not say what to do", api, code)
			}
		}
	}
}

// FuzzListUsers feeds whole answers to the list of users: a page is only returned if the
// answer says whether there is another one.
func FuzzListUsers(f *testing.F) {
	for _, body := range []string{
		contactCalls()[dingtalk.APIUsers].done, `{"errcode":0,"result":{"has_more":true,"next_cursor":1,"list":[]}}`,
		`{"errcode":0,"result":{"list":[]}}`, `{"errcode":0,"result":{"has_more":true,"list":[{"userid":"u","dept_id_list":[1,2]}]}}`,
		`{"errcode":0,"result":{"has_more":false,"list":null}}`, `{"errcode":60003}`, `{"errcode":0,"result":[]}`, "\xff", "",
	} {
		f.Add(body)
	}
	var current atomic.Pointer[string]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/accessToken") {
			_, _ = io.WriteString(w, `{"accessToken":"t","expireIn":7200}`)
			return
		}
		_, _ = io.WriteString(w, *current.Load())
	}))
	f.Cleanup(server.Close)
	c := open(f, providertest.Setting{URL: server.URL, Timeout: 30 * time.Second, Quick: time.Nanosecond})
	f.Fuzz(func(t *testing.T, body string) {
		current.Store(&body)
		page, err := c.ListUsers(t.Context(), free, 1, 0)
		if err != nil {
			if _, ok := errors.AsType[*providers.Error](err); !ok || len(page.Users) != 0 {
				t.Errorf("%q: %+v, %v", body, page, err)
			}
			return
		}
		var answer struct {
			Result struct {
				More *bool  `json:"has_more"`
				Next *int64 `json:"next_cursor"`
				List []any  `json:"list"`
			} `json:"result"`
		}
		if json.Unmarshal([]byte(body), &answer) != nil || answer.Result.More == nil || len(answer.Result.List) != len(page.Users) ||
			page.More && (answer.Result.Next == nil || *answer.Result.Next != page.Next) {
			t.Errorf("%q passed as %+v", body, page)
		}
	})
}
