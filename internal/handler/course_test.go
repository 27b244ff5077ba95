package handler_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"rollcall/internal/handler"
	"rollcall/internal/redistest"
	"rollcall/internal/sandbox"
	"rollcall/providers"
	"rollcall/tasks"
)

// withCourse is a rig whose school has a second course: "502" with these students.
func withCourse(t *testing.T, s *redistest.Server, students ...sandbox.Student) *rig {
	t.Helper()
	return newRig(t, s, func(cfg *sandbox.Config) {
		world := &cfg.World.Organisations[0].Schools[0]
		world.Courses = append(world.Courses, sandbox.Course{ID: "502", Students: students})
	})
}

func (r *rig) nicknames(course string) map[string]string {
	r.t.Helper()
	org, _ := r.box.State().Organisation(school)
	found := map[string]string{}
	for _, c := range org.Schools[0].Courses {
		for _, s := range c.Students {
			if c.ID == course {
				found[s.UID] = s.Nickname
			}
		}
	}
	return found
}

func apis(calls []sandbox.Call) string {
	var names []string
	for _, c := range calls {
		names = append(names, c.API)
	}
	return strings.Join(names, " ")
}

// ClassIn names no member that it did not rename. With the students known, each is
// renamed, and the error names the one that cannot be.
func TestACourseThatIsRenamedInPartIsSplitByStudent(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := withCourse(t, s, sandbox.Student{UID: "11", Name: "Li"}, sandbox.Student{UID: "12", Name: "Left", Deleted: true})
		task := tasks.CourseSync{Tenant: ci, CourseID: "502", StudentUIDs: []string{"11", "12"}}
		report, err := r.run(task)
		e, ok := errors.AsType[*providers.Error](err)
		if !ok || e.Kind != providers.Rejected || e.Code != "121601059" || !strings.Contains(e.Message, "1 of 2 students failed: 121601059: 12") ||
			!e.MaybeApplied || report.Sends != 2 {
			t.Errorf("%+v, %v; want student 12 rejected after two sends, with a change that may have been applied", report, err)
		}
		if got := apis(r.box.Calls()); got != sandbox.APIClassNick+" "+sandbox.APIStudentNick {
			t.Errorf("the calls were %s", got)
		}
		if got := r.nicknames("502"); got["11"] != "Li" || got["12"] == "Left" {
			t.Errorf("the platform has %v", got)
		}
	})
}

// Without the students nothing can be split: the answer stays that of the course.
func TestACourseWithoutStudentsIsNotSplit(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		students []sandbox.Student
		code     string
	}{
		"some": {[]sandbox.Student{{UID: "11", Name: "Li"}, {UID: "12", Deleted: true}}, "842"},
		"all":  {[]sandbox.Student{{UID: "12", Deleted: true}}, "843"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := withCourse(t, redistest.One(t), row.students...)
			report, err := r.run(tasks.CourseSync{Tenant: ci, CourseID: "502"})
			if e, ok := errors.AsType[*providers.Error](err); !ok || e.Code != row.code || report.Sends != 1 {
				t.Errorf("%+v, %v; want %s after one send", report, err, row.code)
			}
		})
	}
}

// A course that failed for once, in part or as a whole, is done by the second call.
func TestACourseThatIsSplitIsApplied(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"842", "843"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, redistest.One(t))
			if _, err := r.box.Arm(sandbox.Fault{API: sandbox.APIClassNick, Kind: sandbox.FaultAnswer, Code: code, First: 1}); err != nil {
				t.Fatal(err)
			}
			report := r.must(tasks.CourseSync{Tenant: ci, CourseID: "501", StudentUIDs: []string{"1"}}, handler.Applied)
			if report.Sends != 2 || r.student().Nickname != "Ann A" {
				t.Errorf("%+v, and the platform has %+v", report, r.student())
			}
		})
	}
}

// A call takes 100 students. One that is rejected does not stop the next, and the error
// names the students of both.
func TestManyStudentsOfACourseAreSplitIntoCalls(t *testing.T) {
	t.Parallel()
	r := withCourse(t, redistest.One(t), sandbox.Student{UID: "11", Name: "Li"}, sandbox.Student{UID: "12", Deleted: true})
	uids := []string{"12"}
	for i := range 99 {
		uids = append(uids, strconv.Itoa(1000+i)) // transfer students
	}
	uids = append(uids, "11", "99")
	report, err := r.run(tasks.CourseSync{Tenant: ci, CourseID: "502", StudentUIDs: uids})
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != providers.Rejected || r.nicknames("502")["11"] != "Li" || report.Sends != len(r.box.Calls()) {
		t.Errorf("%+v, %v after %d calls", report, err, len(r.box.Calls()))
	}
	if strings.Count(e.Message, "students failed") != 2 {
		t.Errorf("the message is %q, want the students of both calls", e.Message)
	}
}

// A temporary fault of the second call is one of the task: it is tried again.
func TestATemporaryFaultOfTheSplitIsRetried(t *testing.T) {
	t.Parallel()
	r := withCourse(t, redistest.One(t), sandbox.Student{UID: "11", Name: "Li"}, sandbox.Student{UID: "12", Deleted: true})
	if _, err := r.box.Arm(sandbox.Fault{API: sandbox.APIStudentNick, Kind: sandbox.FaultOutage, Status: 503}); err != nil {
		t.Fatal(err)
	}
	_, err := r.run(tasks.CourseSync{Tenant: ci, CourseID: "502", StudentUIDs: []string{"11", "12"}})
	if e, ok := errors.AsType[*providers.Error](err); !ok || e.Kind != providers.Transient || !e.MaybeApplied {
		t.Errorf("%+v", err)
	}
}
