package classin

import (
	"slices"
	"time"

	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

// Where the vendor documents the answers.
const (
	docs         = "https://docs.eeo.cn/api/zh-hans/"
	docSync      = docs + "group/modifyGroupMemberNickname.html"
	docEdit      = docs + "user/editSchoolStudent.html"
	docNick      = docs + "user/modifyCourseStudentNickName.html"
	docSignature = docs + "appendix/signature.html"
	docErrors    = docs + "Error-Handling/Basic_errors.html"
	docOverview  = docs + "overview.html"
	docClassroom = docs + "LMS/createClassroom.html"
	docHistory   = docs + "appendix/edit_history.html"
)

const (
	codeDone        = "1"
	codeSome        = "842" // members of a course were not renamed
	codeAll         = "843"
	codeSignature   = "102"
	codeSignatureV2 = "101002006"
)

// Tables returns every row that an answer is judged by, as a copy, in the
// order that they are tried.
func Tables() []providers.Table {
	return []providers.Table{
		{Name: apiSync, Codes: syncRows()},
		{Name: apiEdit, Codes: editRows()},
		{Name: apiNick, Codes: nickRows()},
		{Name: "every call", Codes: commonRows()},
		{Name: "HTTP status", Codes: statusRows()},
	}
}

// rowsOf returns the rows that an answer of an API is judged by, in the order in which
// they are tried.
func rowsOf(api string) []providers.Code {
	var rows []providers.Code
	for _, table := range Tables() {
		if table.Name == api {
			rows = table.Codes
		}
	}
	return slices.Concat(rows, commonRows(), statusRows())
}

// Codes returns the rows of all [Tables] in one list, as a copy.
func Codes() []providers.Code { return providers.Rows(Tables()) }

const support = "if it stays, ask the platform's support"

func syncRows() []providers.Code {
	const (
		course  = "correct the course id in the roster"
		archive = "take the course out of the roster"
		members = "give the task the course's students (student_uids): each is then renamed, and those that fail are named"
	)
	return []providers.Code{
		{
			Code: "100", Kind: providers.Rejected, Meaning: "a parameter is missing or wrong",
			Fix: "check the course id; if every course ends so, this is a fault of rollcall: report it", Doc: docSync,
		},
		{Code: "144", Kind: providers.Rejected, Meaning: "the course is not this school's", Fix: course, Doc: docSync},
		{Code: "147", Kind: providers.Rejected, Meaning: "no such course", Fix: course, Doc: docSync},
		{Code: "149", Kind: providers.Rejected, Meaning: "the course is deleted", Fix: archive, Doc: docSync},
		{Code: "153", Kind: providers.Rejected, Meaning: "the course has ended", Fix: archive, Doc: docSync},
		{
			Code: codeSome, Kind: providers.Partial, Tries: 3, Wait: time.Minute,
			Meaning: "some members were not renamed, and it does not say which", Fix: members, Doc: docSync,
		},
		{
			Code: codeAll, Kind: providers.Transient, Tries: 3, Wait: time.Minute,
			Meaning: "no member was renamed", Fix: members, Doc: docSync,
		},
		{
			Code: "21323", Kind: providers.Rejected, Meaning: "a deleted student cannot be renamed",
			Fix: "take the deleted student out of the course", Doc: docSync,
		},
	}
}

// editRows are those of the console's name of a student.
func editRows() []providers.Code {
	return []providers.Code{
		{
			Code: "100", Kind: providers.Rejected, Meaning: "a parameter is missing or wrong",
			Fix: "check the student's UID and name; if every student ends so, this is a fault of rollcall: report it", Doc: docEdit,
		},
		{Code: "228", Kind: providers.Rejected, Meaning: "not a student of this institution", Fix: unreachable, Doc: docEdit},
	}
}

const unreachable = "the student cannot be reached from this institution (a transfer student, or a wrong UID): " +
	"add the student to the institution in its console, or remove the row"

// nickRows are those of a student's names in courses, of a whole answer and of a student
// in it. The vendor's page gives the codes without a cause.
func nickRows() []providers.Code {
	const access = "check the SID, the secret, this machine's clock, and whether the institution may use APIs of version 2"
	tenant := func(code, meaning, fix, doc string) providers.Code {
		return providers.Code{Code: code, Kind: providers.Misconfigured, Scope: providers.ScopeTenant, Meaning: meaning, Fix: fix, Doc: doc}
	}
	return []providers.Code{
		{
			Code: "101001001", Kind: providers.Rejected, Meaning: "a parameter is wrong",
			Fix: "check the student's UID; if every student ends so, this is a fault of rollcall: report it", Doc: docNick,
		},
		tenant("101002005", "the request's credentials are refused", access, docNick),
		tenant(codeSignatureV2, "the signature is refused", access, docSignature),
		tenant("101002008", "the request's credentials are refused", access, docNick),
		{Code: "101004005", Kind: providers.Transient, Tries: 3, Quick: true, Meaning: "a fault on their side", Fix: support, Doc: docNick},
		{Code: "110100067", Kind: providers.Transient, Tries: 3, Quick: true, Meaning: "a fault on their side", Fix: support, Doc: docNick},
		tenant("121601058", "no such institution", "check the SID", docNick),
		{Code: "121601059", Kind: providers.Rejected, Meaning: "not a student of this institution", Fix: unreachable, Doc: docNick},
		{
			Code: "121601060", Kind: providers.Rejected, Meaning: "more than 100 students in one call",
			Fix: "this is a fault of rollcall: report it", Doc: docNick,
		},
	}
}

// commonRows are those of every call.
func commonRows() []providers.Code {
	return []providers.Code{
		{
			Code: codeSignature, Kind: providers.Misconfigured, Scope: providers.ScopeTenant, Meaning: "the signature is refused",
			Fix: "check the SID, the secret, this machine's clock, and whether the school's contract has run out", Doc: docErrors,
		},
		{Code: "104", Kind: providers.Transient, Tries: 3, Quick: true, Meaning: "an unexpected error", Fix: support, Doc: docErrors},
		{Code: "114", Kind: providers.Transient, Tries: 3, Quick: true, Meaning: "the server threw an exception", Fix: support, Doc: docErrors},
		{
			Code: "901", Kind: providers.Transient, Wait: 30 * time.Minute, Meaning: "the platform is under maintenance",
			Fix: "wait; maintenance is announced and lasts for some hours of the early morning in Beijing", Doc: docOverview,
		},
		{
			Code: "101003001", Kind: providers.Throttled, Scope: providers.ScopeLane, Period: time.Minute, Unmetered: true,
			Meaning: "too many requests in a minute", Fix: "lower the configured rate", Doc: docClassroom,
		},
		{
			Code: "101003002", Kind: providers.Throttled, Scope: providers.ScopeTask, Wait: 5 * time.Second, Unmetered: true,
			Meaning: "the same request twice within five seconds", Fix: "look for two producers that enqueue the same change", Doc: docHistory,
		},
	}
}

// statusRows judge an answer by its HTTP status: its code is unlisted, or it
// has none, or it is not the platform's JSON at all.
func statusRows() []providers.Code {
	const (
		host     = "check the base URL"
		unlisted = "look the code up in the vendor's list and report it, so that it is added to the table"
	)
	row := func(status string, kind providers.Kind, scope providers.Scope, meaning, fix string) providers.Code {
		return providers.Code{HTTP: status, Kind: kind, Scope: scope, Meaning: meaning, Fix: fix}
	}
	maintenance := row("901", providers.Transient, providers.ScopeTask, "the platform is under maintenance", "wait")
	maintenance.Wait, maintenance.Doc = 30*time.Minute, docOverview
	busy := row("429", providers.Throttled, providers.ScopeLane, "too many requests", "lower the configured rate")
	busy.Wait, busy.Unmetered = time.Minute, true
	bare := row("403", providers.Throttled, providers.ScopeLane, "refused without a reason",
		"if it repeats, ask the platform whether this machine's address is blocked")
	bare.Wait, bare.Tries = 5*time.Second, 3
	odd := row("2xx", providers.Transient, providers.ScopeTask, "an answer that cannot be read", unlisted)
	odd.Tries = 3
	code := row("", providers.Unknown, providers.ScopeTask, "a code that no table lists", unlisted)
	code.Code, code.Tries, code.Doc = "*", 2, docErrors
	last := row("", providers.Unknown, providers.ScopeTask, "an answer that cannot be read", unlisted)
	last.Tries = 2

	page := row("", providers.Throttled, providers.ScopeLane, "an HTML page in place of an answer: our address may be blocked, or something on the way asks for a login",
		"if it stays, look for a proxy, a firewall or a login page between this machine and the host, and ask the platform whether it blocks the address")
	page.Code, page.Wait = apicall.CodePage, 5*time.Second

	return slices.Concat(
		[]providers.Code{page},
		apicall.WayRows(),
		apicall.Alike(maintenance, "", "*"),
		apicall.Alike(busy, "", "*"),
		apicall.Alike(row("5xx 408", providers.Transient, providers.ScopeTask, "a fault on their side", ""), "", "*"),
		[]providers.Code{
			bare,
			row("401", providers.Misconfigured, providers.ScopeTenant, "not authorised", "check the SID and the secret"),
			row("404", providers.Misconfigured, providers.ScopeLane, "no such path", host),
			row("405", providers.Misconfigured, providers.ScopeLane, "method not allowed", host),
			code, odd, last,
		},
	)
}
