package handler_test

import (
	"testing"

	"rollcall/internal/handler"
	"rollcall/internal/sandbox"
	"rollcall/providers"
	"rollcall/tasks"
)

func change(user, id string, alternatives ...string) tasks.IDChange {
	return tasks.IDChange{Tenant: dt, UserID: user, DingTalkID: id, Alternatives: alternatives}
}

func TestTheNextIDIsTriedOnlyWhenTheOneBeforeIsSomebodyElses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		report := r.must(change("ann", "zhangsan01", "zhangsan02", "zhangsan03", "zhangsan04"), handler.Applied)
		if report.Took != "zhangsan03" || report.Sends != 3 {
			t.Errorf("report %+v, want zhangsan03 after 3 sends", report)
		}
		r.changes(sandbox.Change{Field: "dingTalkId", New: "zhangsan03"})
		r.calls(3)
		// What the platform took is what the ledger knows.
		r.must(change("ann", "zhangsan03"), handler.Unchanged)
		r.calls(3)
	})
}

func TestWhenAllIDsAreTakenTheTaskIsRejectedWithoutADoubt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		report, err := r.run(change("ann", "zhangsan01", "zhangsan02"))
		if providers.KindOf(err) != providers.Rejected || report.Sends != 2 {
			t.Fatalf("%+v, %v", report, err)
		}
		r.must(change("ann", "zhangsan03"), handler.Applied)
	})
}

func TestAnyOtherRefusalEndsTheSearchForAnID(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		report, err := r.run(change("cat", "zhangsan03", "zhangsan04"))
		if providers.KindOf(err) != providers.Rejected || report.Sends != 1 {
			t.Fatalf("%+v, %v", report, err)
		}
		r.calls(1)
	})
}

// The change was made and its answer lost. Neither the same ID again, nor an
// alternative, nor another wish may be sent: any of them could burn the year.
func TestAPersonWhoseIDIsInDoubtGetsNoCall(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sandbox.Fault{
		"reset":  {API: sandbox.APIChangeID, At: 1, Kind: sandbox.FaultReset, Applied: true},
		"odd":    {API: sandbox.APIChangeID, At: 1, Kind: sandbox.FaultOddBody, Applied: true},
		"outage": {API: sandbox.APIChangeID, At: 1, Kind: sandbox.FaultOutage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, r *rig) {
				r.arm(fault)
				task := change("ann", "zhangsan03", "zhangsan04")
				revision := r.wish(task)
				if _, err := r.attempt(task, revision); providers.KindOf(err) != providers.Ambiguous {
					t.Fatalf("error %v, want an ambiguous one", err)
				}
				r.calls(1)
				for _, again := range []func() (handler.Report, error){
					func() (handler.Report, error) { return r.attempt(task, revision) },
					func() (handler.Report, error) { return r.run(change("ann", "zhangsan05")) },
				} {
					if report, err := again(); providers.KindOf(err) != providers.Ambiguous || report.Sends != 0 {
						t.Errorf("afterwards: %+v, %v, want an ambiguous error without a send", report, err)
					}
				}
				r.calls(1)
				r.must(change("bob", "lisi0001"), handler.Applied) // nobody else is held back
			})
		})
	}
}
