package wire_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rollcall/internal/backlog"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/overview"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/internal/wire"
)

// full returns a value whose exported fields all have a value of their own.
func full[T any]() (v T) {
	n := 0
	fill(reflect.ValueOf(&v).Elem(), &n)
	return v
}

func fill(v reflect.Value, n *int) {
	*n++
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(int64(*n), 0)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text%d", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		if v.Type().Elem().Kind() != reflect.Uint8 {
			fill(v.Index(0), n)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), n)
			}
		}
	default:
		panic(fmt.Sprintf("no value of %s", v.Type()))
	}
}

// same compares a value with what is left of it after it was JSON of the API. Some fields are
// not part of that.
func same[T any](t *testing.T, sent, received T, but ...cmp.Option) {
	t.Helper()
	if diff := cmp.Diff(sent, received, append(but, cmpopts.IgnoreUnexported(run.Run{}, hold.Hold{}))...); diff != "" {
		t.Errorf("%T (-sent +received):\n%s", sent, diff)
	}
}

func TestTheClientReadsEveryFieldThatTheServerWrites(t *testing.T) {
	t.Parallel()
	r := full[run.Run]()
	same(t, r, wire.RunOf(r).Run())
	d := full[ledger.DeadLetter]()
	same(t, d, wire.DeadLetterOf(d).Letter(), cmpopts.IgnoreFields(d, "Payload", "PayloadBytes", "PayloadSHA256"))
	h := full[hold.Hold]()
	same(t, h, wire.HoldStateOf(h).Hold())
	l := full[overview.Lane]()
	l.Pace.Ref = l.Ref()
	l.Urgent.Name, l.Bulk.Name = registry.Queue(l.Tenant, l.Kind, true), l.Name()
	same(t, l, wire.LaneStateOf(l).Lane(), cmpopts.IgnoreFields(l, "Holds", "Unseen"), cmpopts.IgnoreFields(l.Lane, "NicknameMax"),
		cmpopts.IgnoreFields(backlog.Queue{}, "Completed"), cmpopts.IgnoreFields(pace.Limit{}, "Burst", "Window"))
}
