package classin_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/secret"
	"rollcall/providers"
	"rollcall/providers/classin"
)

// The string and the signature that the vendor's page gives as an example.
func TestTheSignatureOfVersion2IsThatOfTheVendorsExample(t *testing.T) {
	t.Parallel()
	stamp, sign := classin.SignV2(secret.New("Mb71234"), "1000082", time.Unix(1673949471, 0), map[string]string{"courseId": "132323"})
	if stamp != "1673949471" || sign != "d0d99023aa44549f97dfe9523059f0c3" {
		t.Errorf("stamp %s, signature %s", stamp, sign)
	}
}

// answering is a client of a server that answers with body, and the request that it got.
func answering(t *testing.T, body string) (*classin.Client, *http.Request, *string) {
	t.Helper()
	var got http.Request
	var sent string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		got, sent = *r, string(text)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	now := func() time.Time { return time.Unix(1673949471, 999) }
	return open(t, classin.Config{BaseURL: server.URL + "/", Now: now, Quick: time.Millisecond}), &got, &sent
}

func TestAStudentIsEditedWithASignedForm(t *testing.T) {
	t.Parallel()
	c, got, sent := answering(t, `{"error_info":{"errno":1,"error":"程序正常执行"}}`)
	if receipt, err := c.EditStudent(context.Background(), free, "1445886", "张三 & co"); err != nil || receipt.Sends != 1 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if got.RequestURI != "/partner/api/course.api.php?action=editSchoolStudent" ||
		got.Header.Get("Content-Type") != "application/x-www-form-urlencoded;charset=utf-8" {
		t.Errorf("%s with content type %q", got.RequestURI, got.Header.Get("Content-Type"))
	}
	form, err := url.ParseQuery(*sent)
	want := url.Values{
		"SID": {"1000082"}, "timeStamp": {"1673949471"}, "studentUid": {"1445886"}, "studentName": {"张三 & co"},
		"safeKey": {fmt.Sprintf("%x", md5.Sum([]byte(schoolSecret+"1673949471")))},
	}
	if diff := cmp.Diff(want, form); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestNicknamesAreCopiedWithASignatureInHeaders(t *testing.T) {
	t.Parallel()
	c, got, sent := answering(t, `{"code":1,"msg":"ok","data":[{"studentUid":"9223372036854775807","code":"1"},{"studentUid":2,"code":1}]}`)
	receipt, err := c.SyncStudentNicknames(context.Background(), free, []string{"9223372036854775807", "2"})
	if err != nil || receipt.Sends != 1 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if got.RequestURI != "/schooluser/modifyCourseStudentNickName" || *sent != `{"studentUids":[9223372036854775807,2]}` {
		t.Errorf("%s with %s", got.RequestURI, *sent)
	}
	want := map[string]string{
		"Content-Type": "application/json", "X-EEO-UID": "1000082", "X-EEO-TS": "1673949471",
		// The list is not signed.
		"X-EEO-SIGN": fmt.Sprintf("%x", md5.Sum([]byte("sid=1000082&timeStamp=1673949471&key="+schoolSecret))),
	}
	for name, value := range want {
		if got.Header.Get(name) != value {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), value)
		}
	}
}

// Written out from the vendor's documents and not from the client's table.
func TestCodesOfAStudent(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]providers.Kind{
		"101001001": providers.Rejected, "101002005": providers.Misconfigured, "101002006": providers.Misconfigured,
		"101002008": providers.Misconfigured, "101004005": providers.Transient, "110100067": providers.Transient,
		"121601058": providers.Misconfigured, "121601059": providers.Rejected, "121601060": providers.Rejected,
		"7777777": providers.Unknown,
	} {
		for where, body := range map[string]string{
			"of the answer":  fmt.Sprintf(`{"code":%s,"msg":"no"}`, code),
			"of the student": fmt.Sprintf(`{"code":1,"msg":"ok","data":[{"studentUid":7,"code":%s,"msg":"no"}]}`, code),
		} {
			c, _, _ := answering(t, body)
			_, err := c.SyncStudentNicknames(context.Background(), free, []string{"7"})
			if e, ok := errors.AsType[*providers.Error](err); !ok || e.Kind != want || e.Code != code || e.Message != "no" {
				t.Errorf("%s %s: %+v, want %v", code, where, err, want)
			}
		}
	}
	c, _, _ := answering(t, `{"error_info":{"errno":228,"error":"no"}}`)
	_, err := c.EditStudent(context.Background(), free, "7", "Ann")
	if e, ok := errors.AsType[*providers.Error](err); !ok || e.Kind != providers.Rejected || !strings.Contains(e.Fix, "transfer student") {
		t.Errorf("228: %+v, want rejected, with what to do about a transfer student", err)
	}
}

// An answer about fewer students than were asked for is no success.
func TestStudentsThatFailAreNamedWithTheirCodes(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		data string
		kind providers.Kind
		code string
		want string
	}{
		"a transfer student": {
			`[{"studentUid":1,"code":1},{"studentUid":2,"code":121601059},{"studentUid":3,"code":1}]`,
			providers.Rejected, "121601059", "1 of 3 students failed: 121601059: 2",
		},
		"one of them later": {
			`[{"studentUid":1,"code":121601059},{"studentUid":2,"code":1},{"studentUid":3,"code":101004005}]`,
			providers.Transient, "101004005", "2 of 3 students failed: 121601059: 1; 101004005: 3",
		},
		"no result": {`[{"studentUid":1,"code":1},{"studentUid":3,"code":1}]`, providers.Transient, "", "1 of 3 students failed: no result: 2"},
		"no list":   {`null`, providers.Transient, "", "3 of 3 students failed: no result: 1, 2, 3"},
	} {
		c, _, _ := answering(t, `{"code":1,"msg":"ok","data":`+row.data+`}`)
		_, err := c.SyncStudentNicknames(context.Background(), free, []string{"1", "2", "3"})
		e, ok := errors.AsType[*providers.Error](err)
		if !ok || e.Kind != row.kind || e.Code != row.code || e.Message != row.want {
			t.Errorf("%s: %+v, want %v %q %q", name, err, row.kind, row.code, row.want)
		}
	}
}

func TestAMessageAboutManyStudentsIsBounded(t *testing.T) {
	t.Parallel()
	uids := make([]string, classin.MaxStudents)
	for i := range uids {
		uids[i] = strconv.Itoa(1_445_000 + i)
	}
	c, _, _ := answering(t, `{"code":1,"data":[]}`)
	_, err := c.SyncStudentNicknames(context.Background(), free, uids)
	if e, ok := errors.AsType[*providers.Error](err); !ok || !strings.HasSuffix(e.Message, "1445009 and 90 more") {
		t.Errorf("%+v", err)
	}
}

func TestStudentsThatCannotBeAskedForAreRefusedUnsent(t *testing.T) {
	t.Parallel()
	c, _, sent := answering(t, `{"code":1}`)
	for _, uids := range [][]string{nil, {""}, {"1", "2]"}, make([]string, 101)} {
		receipt, err := c.SyncStudentNicknames(context.Background(), free, uids)
		if providers.KindOf(err) != providers.Rejected || receipt.Sends != 0 || *sent != "" {
			t.Errorf("%q: %+v, %v", uids, receipt, err)
		}
	}
}
