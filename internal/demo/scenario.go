package demo

import (
	"time"

	"rollcall/internal/sandbox"
)

// Scenario returns the faults of the demo: retries overcome some of them, the others
// need a person.
func Scenario() sandbox.Scenario {
	nick := func(n int, f sandbox.Fault) sandbox.Fault {
		f.API, f.User = sandbox.APIGroupNick, userID(n)
		return f
	}
	return sandbox.Scenario{Faults: []sandbox.Fault{
		{Name: "everyday latency", Kind: sandbox.FaultLatency, Latency: 20 * time.Millisecond, Jitter: 30 * time.Millisecond},
		nick(busyOnce, sandbox.Fault{Name: "busy", Kind: sandbox.FaultAnswer, Code: "400001", First: 2}),
		nick(busyLonger, sandbox.Fault{Name: "busy longer", Kind: sandbox.FaultAnswer, Code: "400001", First: 4}),
		nick(renamedTwice, sandbox.Fault{Name: "delays the old name", Kind: sandbox.FaultAnswer, Code: "400001", First: 3}),
		nick(cutBefore, sandbox.Fault{Name: "cut before", Kind: sandbox.FaultReset, First: 1}),
		nick(cutAfter, sandbox.Fault{Name: "cut after", Kind: sandbox.FaultReset, Applied: true, First: 1}),
		{Name: "throttled", API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "90018", At: 60},
		{Name: "token expired", API: sandbox.APIGroupNick, Kind: sandbox.FaultExpiredToken, At: 120},
		{Name: "system error", API: sandbox.APIGroupUpdate, Kind: sandbox.FaultAnswer, Code: "system.error", First: 4},
		{Name: "course failed", API: sandbox.APIClassNick, Kind: sandbox.FaultAnswer, Code: "104", First: 1},
		{Name: "answer lost", API: sandbox.APIChangeID, User: userID(idCut), Kind: sandbox.FaultReset, Applied: true},
		{Name: "busy, unknown", API: sandbox.APIChangeID, User: userID(idBusy), Kind: sandbox.FaultAnswer, Code: "system.busy"},
	}}
}
