package handler_test

import (
	"context"
	"errors"
	"testing"

	"rollcall/internal/handler"
	"rollcall/internal/sandbox"
	"rollcall/providers"
	"rollcall/tasks"
)

func studentNamed(uid, name string) tasks.StudentSync {
	return tasks.StudentSync{Tenant: ci, StudentUID: uid, Name: name}
}

func (r *rig) student() sandbox.Student {
	r.t.Helper()
	org, _ := r.box.State().Organisation(school)
	return org.Schools[0].Courses[0].Students[0]
}

func TestAStudentIsNamedInTheConsoleAndInCourses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		report := r.must(studentNamed("1", "张三"), handler.Applied)
		if report.Sends != 2 || report.Target != "1" {
			t.Errorf("%+v, want 2 sends to 1", report)
		}
		if s := r.student(); s.Name != "张三" || s.Nickname != "张三" {
			t.Errorf("the platform has %+v", s)
		}
		r.must(studentNamed("1", "张三"), handler.Unchanged)
		r.calls(2)
	})
}

// The console has the new name when the second call fails: the change back to the old
// one must be sent.
func TestANameThatReachedOnlyTheConsoleIsNotTakenForTheOldOne(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		r.must(studentNamed("1", "before"), handler.Applied)
		if _, err := r.box.Arm(sandbox.Fault{API: sandbox.APIStudentNick, Kind: sandbox.FaultAnswer, Code: "121601059", First: 1}); err != nil {
			t.Fatal(err)
		}
		report, err := r.run(studentNamed("1", "after"))
		e, ok := errors.AsType[*providers.Error](err)
		if !ok || e.Kind != providers.Rejected || !e.MaybeApplied || e.API != "modifyCourseStudentNickName" || report.Sends != 2 {
			t.Fatalf("%+v, %+v; want rejected, maybe applied, after 2 sends", report, err)
		}
		if s := r.student(); s.Name != "after" || s.Nickname != "before" {
			t.Fatalf("the platform has %+v", s)
		}
		r.must(studentNamed("1", "before"), handler.Applied)
		if s := r.student(); s.Name != "before" {
			t.Errorf("the platform has %+v", s)
		}
	})
}

// Each of the two calls passes the gate. A quick try repeats the second call alone; the
// next attempt repeats both.
func TestTheSecondCallIsTriedAgainAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		passes := 0
		r.slot = func(context.Context) error { passes++; return nil }
		if _, err := r.box.Arm(sandbox.Fault{API: sandbox.APIStudentNick, Kind: sandbox.FaultAnswer, Code: "101004005", First: 1}); err != nil {
			t.Fatal(err)
		}
		if report := r.must(studentNamed("1", "张三"), handler.Applied); report.Sends != 3 || passes != 3 {
			t.Errorf("%d sends after %d passes, want 3: one edit, two copies", report.Sends, passes)
		}
		if calls := r.box.Calls(); calls[0].API != sandbox.APIEditStudent || calls[1].API != sandbox.APIStudentNick || calls[2].API != sandbox.APIStudentNick {
			t.Errorf("the calls were %+v", calls)
		}
	})
}

func TestATransferStudentIsRejectedWithAdvice(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		report, err := r.run(studentNamed("99", "Eve"))
		e, ok := errors.AsType[*providers.Error](err)
		if !ok || e.Kind != providers.Rejected || e.Code != "228" || e.MaybeApplied || report.Sends != 1 {
			t.Errorf("%+v, %+v; want 228 after one send", report, err)
		}
	})
}
