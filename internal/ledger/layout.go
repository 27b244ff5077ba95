package ledger

import (
	"embed"
	"fmt"
	"strings"
	"unicode"

	"github.com/redis/go-redis/v9"
)

// What the hash of a target holds. These names are in every Redis: workers of other
// versions read and write them, so they never change. One that ends in a colon is
// followed by the name of a field, but for progress and source.
const (
	entryLastRevision   = "rev"
	entryLeaseOwner     = "own"
	entryLeaseUntil     = "until"
	entrySettledAt      = "at"
	entrySettledRequest = "rid"
	entryLatest         = "n:"
	entryLatestTask     = "t:"
	entryApplied        = "r:"
	entryAppliedValue   = "v:"
	entryWantedValue    = "w:"
	entryUnknown        = "d:"
	entryLate           = "q:"
	entryOtherSent      = "x:"
	entrySource         = "s:"
	entryDoneEdits      = "m:"
	entryProgress       = "p:"
	entryIntent         = "i:"
	entryLock           = "l:"
	entryRefused        = "k:"
	entryEvidence       = "e:"
	entryTried          = "tried"

	// answered ends an entry of unknown whose send cannot be carried out any more.
	answered = " answered"

	// What an entry of evidence holds.
	wordDoubt  = "doubt"
	wordStated = "stated"
)

// entry is a name in Redis, and the constant by which the scripts know it.
type entry struct {
	name  string
	lua   string
	means string
	// The scripts that write and read it, without their ending.
	writes, reads string
}

// layout is all that a target's hash holds.
var layout = []entry{
	{entryLastRevision, "LAST_REVISION", "the last revision handed out", "revise recall", "revise begin holds recall forget findstep"},
	{entryLeaseOwner, "LEASE_OWNER", "the attempt that holds the lease", "begin settle lock resolve uncheck", "begin raise holds stated send intend renew note uncheck settle lock resolve forget"},
	{entryLeaseUntil, "LEASE_UNTIL", "when the lease expires, Unix ms", "begin send intend renew settle lock resolve uncheck", "begin resolve forget"},
	{entrySettledAt, "SETTLED_AT", "when a change was applied or confirmed last, Unix s", "settle", "holds"},
	{entrySettledRequest, "SETTLED_REQUEST", "the platform's request id of that", "settle", ""},
	{entryTried, "TRIED", "when a worker last began to confirm the applied value, Unix s", "begin", "holds"},
	{entryLatest, "LATEST", "the revision of the latest change", "stored recall", "revise begin raise holds stated stored send intend close recall forget findstep"},
	{entryLatestTask, "LATEST_TASK", "the task of the latest change", "stored", "stored forget findstep"},
	{entryApplied, "APPLIED", "the revision that was applied last", "begin raise stated settle resolve recall", "revise begin raise holds stated stored send intend settle close resolve recall forget findstep"},
	{entryAppliedValue, "APPLIED_VALUE", "the value that was applied last; for a nickname a person's name", "settle stated resolve recall", "begin raise holds settle findstep"},
	{entryWantedValue, "WANTED_VALUE", "the value that was wanted, where the platform took a substitute", "settle resolve recall", "begin raise findstep"},
	{
		entryUnknown, "UNKNOWN", "the revision of a send whose outcome is unknown; followed by `answered` if it cannot be carried out any more",
		"begin send intend uncheck settle lock resolve note recall", "begin raise holds stated send intend uncheck settle resolve recall forget findstep",
	},
	{
		entryLate, "LATE", "when a send was settled while an earlier one might still be carried out, Unix s: the next equal change is sent",
		"settle", "begin raise holds settle giveup",
	},
	{
		entryOtherSent, "OTHER_SENT", "of a value: a change was sent while the outcome of another was unknown, so the applied value may have been replaced before",
		"begin send settle", "settle",
	},
	{entrySource, "SOURCE", "followed by `<source>:<field>`: the highest number of a source", "revise", "revise"},
	{entryDoneEdits, "DONE_EDITS", "of members: the revisions of the last 64 edits that were applied", "settle", "begin settle close"},
	{entryProgress, "PROGRESS", "followed by a revision: how many calls of that edit are done", "note settle", "begin"},
	{
		entryIntent, "INTENT", "of an ID whose outcome is unknown: how often it was sent, when last (Unix ms), revision, task, value",
		"intend uncheck settle lock resolve note recall", "begin intend uncheck resolve",
	},
	{
		entryLock, "LOCK", "of an ID: until when it is locked, Unix s, and why: `applied`, `said` by the platform, or `unverified`",
		"settle lock resolve recall", "begin forget",
	},
	{entryRefused, "REFUSED", "of an ID: the revision of a task, and how many of its candidates were refused", "note settle", "begin"},
	{
		entryEvidence, "EVIDENCE", "how the applied value is known: `doubt` if an outcome was unknown before it was settled, `stated` if a file stated it; missing if the call that applied it was answered",
		"settle stated", "holds",
	},
}

// words are the other constants of the scripts: what values hold.
var words = []entry{
	{name: answered, lua: "ANSWERED", means: "ends an unknown outcome whose send cannot be carried out any more"},
	{name: " " + LockApplied, lua: "BY_CHANGE", means: "ends a lock by a change of ours"},
	{name: " " + LockUnverified, lua: "UNVERIFIED", means: "ends a lock that a person must resolve"},
	{name: wordDoubt, lua: "DOUBT", means: "an outcome was unknown before the value was settled"},
	{name: wordStated, lua: "STATED", means: "a file stated the value"},
	{name: string(RowStored), lua: "RESULT_STORED", means: "a task is stored and has not ended"},
	{name: string(RowApplied), lua: "RESULT_APPLIED", means: "its change was applied"},
	{name: string(RowUnchanged), lua: "RESULT_UNCHANGED", means: "it needed no call"},
	{name: string(RowSuperseded), lua: "RESULT_SUPERSEDED", means: "a later change was known or applied"},
	{name: string(RowSettled), lua: "RESULT_SETTLED", means: "it had been applied before"},
	{name: string(RowDead), lua: "RESULT_DEAD", means: "it is a dead letter"},
	{name: string(RowCancelled), lua: "RESULT_CANCELLED", means: "its run was cancelled before it was sent"},
}

//go:embed *.lua
var sources embed.FS

// script is the Lua script of a file with the constants that it uses in front of it. They
// share its first line, so that Redis reports the lines of the file. A bool among its
// arguments is '1' or '0' to it.
func script(name string) *redis.Script {
	source, err := sources.ReadFile(name + ".lua")
	if err != nil {
		panic(fmt.Sprintf("ledger: read a script: %v", err)) // a defect, which no test would pass
	}
	body := string(source)
	used := map[string]bool{}
	for word := range strings.FieldsFuncSeq(body, func(r rune) bool { return r != '_' && !unicode.IsUpper(r) }) {
		used[word] = true
	}
	var constants strings.Builder
	for _, table := range [][]entry{layout, words} {
		for _, s := range table {
			if used[s.lua] {
				fmt.Fprintf(&constants, "local %s = '%s' ", s.lua, s.name)
			}
		}
	}
	if strings.Contains(body, "is_number") || strings.Contains(body, "floor_at") {
		constants.WriteString(isNumber)
	}
	if strings.Contains(body, "floor_at") {
		constants.WriteString(floorAt)
	}
	if strings.Contains(body, "others_late") {
		constants.WriteString(othersLate)
	}
	return redis.NewScript(constants.String() + body)
}

// isNumber is a function of the scripts: false for an entry that cannot be a number that
// rollcall wrote. Lua would read "inf" and "1e300" as numbers that no revision exceeds.
var isNumber = fmt.Sprintf("local function is_number(v) return not v or #v <= 16 and v:match('^%%d+$') ~= nil and tonumber(v) <= %d end ", int64(MaxRevision))

// othersLate is a function of the scripts: whether a value of a field that is not named may
// have been overwritten, too. A resend knows the fields from before it began.
var othersLate = fmt.Sprintf("local function others_late(target, named) for _, entry in ipairs(redis.call('HKEYS', target)) do "+
	"local field = entry:match('^%s(.*)$') if field and not named[field] and (redis.call('HGET', target, '%s' .. field) or '') ~= '' "+
	"then return true end end return false end ", entryLate, entryAppliedValue)

// floorAt is a function of the scripts: the floor of revisions; 0 for none, for a damaged
// key, and for one that no clock can have handed out.
const floorAt = "local function floor_at(key, now_us) local held = redis.pcall('GET', key) " +
	"if type(held) ~= 'string' or not is_number(held) or tonumber(held) > now_us + 24 * 3600 * 1000000 then return 0 end " +
	"return tonumber(held) end "
