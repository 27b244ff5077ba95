package config

import (
	"slices"

	"rollcall/internal/access"
	"rollcall/internal/kinds"
)

// key describes a key of the file. The validation (shape.go), the page, the schema and
// the defaults are all derived from it.
type key struct {
	path     string   // path from the top; [] after a list
	required bool     // it must be present if its section is
	one      string   // of the keys of this section with the same word, exactly one must be present
	def      string   // default as YAML; in a group: used if no key of the group is present
	enum     []string // allowed values
	form     textForm // of a text, or of each text of a list
	min, max int      // bounds of a number (never below 0) or of a list's length; max 0: none
	eg       string   // example for advice
	doc      string   // for a key: cell of a table. For a section: a paragraph
}

// textForm is a regular expression, and what it says in plain words.
type textForm struct{ pattern, words string }

var (
	// nameForm is that of a queue's first part; tasks checks it again.
	nameForm       = textForm{`^[a-z0-9][a-z0-9-]{0,38}$`, "1 to 39 of a-z, 0-9 and -, not beginning with -"}
	courseForm     = textForm{`^[1-9][0-9]{0,18}$`, "1 to 19 digits, not beginning with 0"}
	sidForm        = textForm{`^[0-9]{1,19}$`, `digits in quotes, as ClassIn shows the number: sid: "1234567"`}
	dateForm       = textForm{`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`, "a date, as in 2027-06-30"}
	departmentForm = textForm{`^[1-9][0-9]{0,17}$`, "1 to 18 digits, not beginning with 0"}
	columnForm     = textForm{`^[^=]+=[a-z_]+$`, "NAME=COLUMN, such as 学号=user_id"}
)

// Off is the address of a disabled listener.
const Off = "off"

// keys is in the order of the page. The keys of a platform are in its file.
var keys = slices.Concat(firstKeys, dingTalkKeys, classInKeys, moreKeys)

var firstKeys = []key{
	{path: "", doc: "One file describes a worker. The same file can be used on every machine: the secrets, which differ, come from outside."},
	{path: "stop_timeout", def: "150s", doc: "how long the service manager waits for a worker to stop before it kills it; set systemd's `TimeoutStopSec` or Kubernetes' `terminationGracePeriodSeconds` to the same. Must be more than the longest `timeout` + 31 s"},

	{path: "redis", doc: "The Redis that stores the tasks and rollcall's own records: exactly one of `url`, `embedded`, `sentinel` and `cluster`. Redis 6.2 or later, persistent, with `maxmemory-policy noeviction`: data that Redis loses is lost to rollcall."},
	{path: "redis.url", one: "redis", def: "redis://127.0.0.1:6379/0", doc: "URL of a single server: `redis://host:port/db`, or `rediss://` for TLS. No user or password in it; go-redis' [options](https://pkg.go.dev/github.com/redis/go-redis/v9#ParseURL) may be given in the query"},
	{path: "redis.embedded", one: "redis", doc: "the loopback address of a Redis inside the worker, for trials. It stores nothing on disk, so platforms must be on a loopback address too"},
	{path: "redis.sentinel", one: "redis", doc: "A master with replicas, found through its sentinels."},
	{path: "redis.sentinel.master", required: true, eg: `mymaster`, doc: "the name under which the sentinels watch the master"},
	{path: "redis.sentinel.addresses", required: true, eg: `["10.0.0.1:26379", "10.0.0.2:26379"]`, min: 1, doc: "addresses of the sentinels, each `host:port`"},
	{path: "redis.sentinel.username", doc: "ACL user at the sentinels"},
	{path: "redis.sentinel.password", doc: "password of that user, or of the sentinels' default user"},
	{path: "redis.cluster", one: "redis", doc: "A Redis Cluster."},
	{path: "redis.cluster.addresses", required: true, eg: `["10.0.0.1:7000", "10.0.0.2:7000"]`, min: 1, doc: "addresses of some of its nodes, each `host:port`; the others are discovered"},
	{path: "redis.username", doc: "ACL user"},
	{path: "redis.password", doc: "password of that user, or of the default user"},
	{path: "redis.tls", doc: "TLS settings of the connections to Redis. With `sentinel` or `cluster` an empty section, `tls: {}`, turns TLS on with the machine's own certificate authorities; with `url` write `rediss://`, and add this section only for other settings."},
	{path: "redis.tls.ca", doc: "PEM file with the authorities that sign the server's certificate; default: those of the machine"},
	{path: "redis.tls.cert", doc: "PEM file with the worker's own certificate, if the server asks for one; needs `key`"},
	{path: "redis.tls.key", doc: "PEM file with its key; a file that others can read is rejected"},
	{path: "redis.tls.server_name", doc: "the name in the server's certificate, if it is not the host of the address"},

	{path: "http", doc: "The worker's web server: the [web UI](worker.md#the-web-ui), metrics and probes."},
	{path: "http.listen", def: "127.0.0.1:8080", doc: "where it listens, `host:port`, or `\"off\"`. An address that other machines reach needs at least one user"},
	{path: "http.tls", doc: "A second listener, with TLS, for the [HTTP API](access.md) and the web UI. Probes and metrics stay at `listen`. A reload (SIGHUP) reads certificate and key again."},
	{path: "http.tls.listen", required: true, eg: `0.0.0.0:8443`, doc: "where it listens, `host:port`"},
	{path: "http.tls.cert", required: true, eg: `/etc/rollcall/server.pem`, doc: "PEM file with the server's certificate and those of its authorities"},
	{path: "http.tls.key", required: true, eg: `/etc/rollcall/server-key.pem`, doc: "PEM file with its key; a file that others can read is rejected"},
	{path: "http.proxy", doc: "addresses or networks of proxies with TLS in front of `listen`, as in `[10.0.0.5, 10.1.0.0/16]`. They may send requests to the HTTP API, and their `X-Forwarded-For` names the client"},
	{path: "http.users", doc: "The users who may log in, by a form or by HTTP basic auth. Without users everyone who can reach the address is an administrator, so it must be a loopback address. On other addresses use `tls`, or put a proxy with TLS in front: passwords can be read on the network otherwise."},
	{path: "http.users[].name", required: true, eg: `operator`, doc: "without a colon; each name once"},
	{path: "http.users[].password", required: true, doc: "password of that user"},
	{path: "http.users[].role", def: "viewer", enum: words(access.Roles()), doc: "what the user may do; each role may do all that the roles before it may. `viewer`: look. `operator`: hold, release, upload and apply runs, settle dead letters. `approver`: approve and reject held runs. `administrator`: see names"},
	{path: "http.users[].names", def: "false", doc: "whether the user sees names and IDs of people in clear, as an administrator does"},
	{path: "http.writable", def: "false", doc: "whether operators may run, delete and archive tasks and pause queues in asynq's web UI"},
	{path: "http.show_personal_data", def: "false", doc: "whether asynq's web UI shows names and IDs of people to all users; otherwise they are masked"},

	{path: "api", doc: "Who may use the [HTTP API](access.md). Without tokens no client may. It is served at `http.tls`, and at `http.listen` to this machine and to the proxies of `http.proxy`."},
	{path: "api.tokens", doc: "Bearer tokens: one for each service. `worker token new` makes one and prints these lines. A reload (SIGHUP) takes over all of them."},
	{path: "api.tokens[].name", required: true, eg: `grades`, form: nameForm, doc: "as that of an organisation; each name once. It is in the log and among the events of every change"},
	{path: "api.tokens[].scopes", required: true, eg: `[enqueue, read]`, min: 1, enum: words(access.Scopes()), doc: "what it may do: `enqueue` tasks and runs, `read` results and states, `operate` runs and dead letters, `approve` runs that are held, see `names` unmasked"},
	{path: "api.tokens[].tenants", doc: "names of the tenants that it may use; default: all"},
	{path: "api.tokens[].expires", required: true, eg: `2027-06-30`, form: dateForm, doc: "its last day, in UTC. A warning is given from 14 days before"},
	{path: "api.tokens[].hash", required: true, doc: "where its SHA-256 is: `sha256:` and 64 digits. Two, separated by a blank or a line end, are both valid: for a rotation"},

	{path: "webhooks", doc: "URLs that are called when a run or a lane needs attention: [webhooks](webhooks.md). A reload (SIGHUP) takes over all of them."},
	{path: "webhooks[].name", required: true, eg: `grades`, form: nameForm, doc: "as that of an organisation; each name once"},
	{path: "webhooks[].url", required: true, eg: `https://grades.example.edu/rollcall`, doc: "`https://`, or `http://` for a loopback address. It is in no log"},
	{path: "webhooks[].secret", required: true, doc: "the secret of the signatures: `whsec_` and 24 to 64 bytes in Base64. Of two, separated by a blank or a line end, both sign: for a rotation"},
	{path: "webhooks[].events", enum: []string{"run.ended", "run.held", "run.paused", "lane.held", "night.report"}, doc: "which events; default: all"},
	{path: "webhooks[].tenants", doc: "only events that concern one of these tenants; default: all"},
	{path: "webhooks[].allow", doc: "private networks that the URL's host may be in, as in `[10.2.0.0/16]`; default: none"},

	{path: "robots", doc: "DingTalk robots that write the [reports of nightly syncs](nightly.md#be-notified-in-dingtalk) to their groups. A reload (SIGHUP) takes over all of them."},
	{path: "robots[].name", required: true, eg: `teachers`, form: nameForm, doc: "as that of an organisation; each name once"},
	{path: "robots[].organisation", required: true, eg: `lakeside`, doc: "the organisation of this file that has the group: its messages are counted"},
	{path: "robots[].webhook", required: true, doc: "where the robot's webhook is, `https://oapi.dingtalk.com/robot/send?access_token=…`. It is a credential and in no log"},
	{path: "robots[].secret", required: true, doc: "the secret of the robot's security setting *sign* (加签), which begins with `SEC`"},
	{path: "robots[].language", def: "zh", enum: []string{"en", "zh"}, doc: "of the messages"},
	{path: "robots[].schedules", doc: "the schedules whose reports it writes, by name; default: all with a `source`"},

	{path: "log", doc: "The log, which is written to the standard error."},
	{path: "log.level", def: "info", enum: []string{"debug", "info", "warn", "error"}, doc: "lowest level that is logged"},
	{path: "log.format", def: "auto", enum: []string{"auto", "text", "json"}, doc: "`auto`: text on a terminal, otherwise JSON"},
	{path: "log.show_personal_data", def: "false", doc: "whether names and IDs of people are logged; otherwise they are masked"},

	{path: "dead_letters", doc: "How long [dead letters](dead-letters.md) are kept if no person replays or discards them."},
	{path: "dead_letters.keep", def: "0s", doc: "older dead letters are discarded with their archived tasks, checked every hour: 24h or more, e.g. `8760h` for a year. `0s`: never; a person handles each. Workers of one Redis should have the same value: the shortest applies"},

	{path: "runs", doc: "How long [runs](runs.md) and the results of their rows are kept."},
	{path: "runs.keep", def: "90", min: 7, max: 3650, doc: "days after the last change of a run, 7 to 3650. Another value counts for what is written from then on; commands and services use the value of the worker that started last. Results of tasks that services store directly are listed for 90 days at most"},

	{path: "egress", doc: "The address that DingTalk sees, and what DingTalk lets through from one address over all tenants. An address that sends more is [banned for five minutes](https://open.dingtalk.com/document/development/how-to-process-api-throttling-on-the-dingtalk-server)."},
	{path: "egress.name", def: "default", form: nameForm, doc: "as that of an organisation. Workers that share an outgoing address must use the same name, and share one count; workers with another address need another name"},
	{path: "egress.calls", def: "10000", min: 1, doc: "calls in any window of the length `per`, 1 or more. Lower it if other programs use the same address"},
	{path: "egress.per", def: "20s", doc: "length of the window, 100 ms to 1 h, with at least one call in 8 s"},

	{path: "organisations", required: true, min: 1, doc: "At least one. An organisation is a DingTalk corp or a ClassIn school, or both under one name."},
	{path: "organisations[].name", required: true, eg: `lakeside`, form: nameForm, doc: "1 to 39 of `a-z`, `0-9` and `-`, not beginning with `-`. It is part of the keys in Redis: another name means other records"},
	{path: "organisations[].quota", doc: "The metered calls that DingTalk grants the organisation in a calendar month (Asia/Shanghai), over all of its tenants. ClassIn's calls are not metered. When the edition was upgraded, raise `calls`: a reload (SIGHUP) of one worker takes it over at once, for all."},
	{path: "organisations[].quota.calls", def: "5000", max: 1_000_000_000, doc: "calls per month; the default is the standard edition's number. `0`: counted, but not bounded"},
	{path: "organisations[].quota.warn", def: "80", min: 1, max: 100, doc: "the percentage of `calls` from which a warning is given, 1 to 100"},
	{path: "organisations[].quota.reserve", def: "10", max: 50, doc: "the percentage of `calls` that is reserved for urgent tasks, 0 to 50"},
	{path: "organisations[].quota.messages", def: "3000", max: 1_000_000_000, doc: "messages of [robots](#robots) per month, which DingTalk counts apart from calls; the default is the standard edition's number. Messages of other programs are not counted. `0`: counted, but not bounded"},
	{path: "organisations[].tenants", required: true, min: 1, doc: "At least one. A tenant is one set of credentials: exactly one of `dingtalk` and `classin`. Two tenants of one app (or SID) are rejected, because the platform counts their calls together."},
	{path: "organisations[].tenants[].name", required: true, eg: `lakeside-dingtalk`, form: nameForm, doc: "as that of an organisation, and unique in the file. Queues are named after it: another name means other queues"},
}

// moreKeys follow those of the platforms. The rows of "secret" and "limit" apply to every
// secret and every limit.
var moreKeys = []key{
	{path: "schedules", doc: "Rosters and courses that are enqueued automatically. Each time is carried out once, for any number of workers. [`worker check`](worker.md) shows the next times."},
	{path: "schedules[].name", required: true, eg: `nightly`, form: nameForm, doc: "as that of an organisation; each name once"},
	{path: "schedules[].cron", required: true, eg: `30 2 * * *`, doc: "five fields: minute, hour, day of the month, month, weekday. `30 2 * * *` is half past two every night; quote it if it begins with `*`"},
	{path: "schedules[].zone", def: "Asia/Shanghai", doc: "the time zone that the fields are read in, by its IANA name"},
	{path: "schedules[].jitter", def: "0s", doc: "up to 12h: moves all times of the entry by the same time of 1 s to this, which depends on its name. Entries of one time then do not start together, nor at the full hour"},
	{path: "schedules[].overlap", def: "queue", enum: []string{"queue", "skip"}, doc: "what happens while the one before still runs: it waits for its end (`queue`), or is not carried out (`skip`)"},
	{path: "schedules[].misfire_window", def: "1h", doc: "1m to 72h: [how late it may begin](schedule.md#missed-times) when no worker was running at its time"},
	{path: "schedules[].roster", one: "work", doc: "a CSV, XLSX or NDJSON file whose rows are enqueued, [as `enqueue bulk` reads it](files.md#how-a-file-is-read). It is read again each time; it must exist when the worker starts"},
	{path: "schedules[].source", one: "work", doc: "Where a roster is read, of which [only the differences are sent](nightly.md), as a run."},
	{path: "schedules[].source.files", one: "source", doc: "A file on this machine: CSV, XLSX or NDJSON, [as `rollcall plan` reads it](files.md#how-a-file-is-read)."},
	{path: "schedules[].source.files.path", required: true, eg: `rosters/*.csv`, doc: "path, or a pattern with `*`, `?` and `[a-z]` of which the newest match is read. It need not exist when the worker starts"},
	{path: "schedules[].source.files.done", eg: `.done`, doc: "a marker that the export writes last: `.done` for `roster.csv.done`, or a path relative to the directory of the file. Default: no marker"},
	{path: "schedules[].source.files.settle", def: "5s", doc: "how long the file must not change before it is read, up to 1h"},
	{path: "schedules[].source.files.max_age", def: "0s", doc: "how long ago the file may have been modified, as in `26h`. `0s`: any time"},
	{path: "schedules[].source.files.encoding", doc: "as the flag of `enqueue bulk`; default: detected"},
	{path: "schedules[].source.files.sheet", doc: "a sheet of an XLSX file; default: the first visible one"},
	{path: "schedules[].source.https", one: "source", doc: "A table on a web server: [how it is read](sources.md#https). At most one of `bearer` and `username` with `password`."},
	{path: "schedules[].source.https.url", required: true, doc: "where its URL is, `https://`, or `http://` for a loopback address. It may contain a token, so it is a secret and in no log"},
	{path: "schedules[].source.https.bearer", doc: "a token"},
	{path: "schedules[].source.https.username", doc: "user of basic authentication"},
	{path: "schedules[].source.https.password", doc: "password of that user"},
	{path: "schedules[].source.https.ca", doc: "PEM file with authorities that are trusted in addition to those of the machine"},
	{path: "schedules[].source.https.timeout", def: "5m", doc: "of the request, to the last byte, up to 1h"},
	{path: "schedules[].source.https.max_age", def: "0s", doc: "how old `Last-Modified` may be. `0s`: any age"},
	{path: "schedules[].source.https.encoding", doc: "as of files"},
	{path: "schedules[].source.https.sheet", doc: "as of files"},
	{path: "schedules[].source.oneroster", one: "source", doc: "A OneRoster 1.1 or 1.2 bundle in CSV: [its columns](sources.md#oneroster)."},
	{path: "schedules[].source.oneroster.path", required: true, eg: `bundles/*.zip`, doc: "a ZIP file, a directory, or a pattern for either. It need not exist when the worker starts"},
	{path: "schedules[].source.oneroster.done", eg: `.done`, doc: "as of files; a relative path is inside a directory"},
	{path: "schedules[].source.oneroster.settle", def: "5s", doc: "as of files"},
	{path: "schedules[].source.oneroster.max_age", def: "0s", doc: "as of files"},
	{path: "schedules[].source.sql", one: "source", doc: "A query of a database: [how it is read](sources.md#sql)."},
	{path: "schedules[].source.sql.engine", required: true, eg: `postgresql`, enum: []string{"postgresql", "mysql"}, doc: "`mysql` is also MariaDB"},
	{path: "schedules[].source.sql.dsn", required: true, doc: "where its address with the credentials is: `postgres://user:password@host:5432/database?sslmode=verify-full`, or `user:password@tcp(host:3306)/database?tls=true`"}, //nolint:gosec // an example
	{path: "schedules[].source.sql.query", required: true, eg: `SELECT chat_id, user_id, nickname FROM roster ORDER BY user_id`, doc: "one `SELECT` whose columns have different names"},
	{path: "schedules[].source.sql.timeout", def: "5m", doc: "of a statement, `1ms` or more; two are run"},
	{path: "schedules[].source.contacts", one: "source", doc: "The contacts of a DingTalk organisation: [their columns](sources.md#dingtalks-contacts). The calls are not metered."},
	{path: "schedules[].source.contacts.tenant", required: true, eg: `lakeside-dingtalk`, doc: "the name of a tenant in this file with `dingtalk`. Its app needs the permission to read contacts"},
	{path: "schedules[].source.contacts.departments", form: departmentForm, doc: "ids of departments that are read with everything below them; default: the whole organisation"},
	{path: "schedules[].source.contacts.exclude", form: departmentForm, doc: "ids of departments that are not read, nor what is below them"},
	{path: "schedules[].source.tenant", doc: "tenant of all rows, if no column names it. Required with `names`"},
	{path: "schedules[].source.kind", enum: words(kinds.Names()), doc: "kind of all rows; default: as the columns say"},
	{path: "schedules[].source.chat", doc: "chat of all rows, by ID, if no column names it"},
	{path: "schedules[].source.columns", form: columnForm, doc: "columns that are not known by name, each `NAME=COLUMN`"},
	{path: "schedules[].names", doc: "the rule by which the people of the source are named: [its keys](naming.md#keys). Default: the source has the columns of a roster. Only with `source`, and without its `kind`, `chat` and `columns`"},
	{path: "schedules[].absence", doc: "What happens when members are [missing in a complete roster](nightly.md#when-somebody-leaves). Only with `source`."},
	{path: "schedules[].absence.nights", def: "0", max: 365, doc: "how many nights in a row a member must be missing before they are removed from a chat of `chats`. `0`: no member is removed"},
	{path: "schedules[].absence.chats", doc: "chats whose members the roster decides, by ID. No member is removed from other chats"},
	{path: "schedules[].absence.missing", def: "10", min: 1, max: 1_000_000, doc: "a night is held if more members than this, and more than `missing_percent`, are missing that were in the last roster"},
	{path: "schedules[].absence.missing_percent", def: "10", min: 1, max: 100, doc: "percentage of the members of the last roster"},
	{path: "schedules[].absence.chat_missing", def: "5", min: 1, max: 1_000_000, doc: "the same for one chat"},
	{path: "schedules[].absence.chat_missing_percent", def: "30", min: 1, max: 100, doc: "percentage of the members of the chat"},
	{path: "schedules[].refresh", doc: "Unchanged names that were not confirmed for long are [sent once more](nightly.md#names-that-were-not-confirmed-for-long). Only with `source`."},
	{path: "schedules[].refresh.percent", def: "0", max: 100, doc: "percentage of the month's spare calls that is used for that. `0`: none"},
	{path: "schedules[].refresh.after", def: "720h", doc: "how long ago a name must have been confirmed, 24h to 8760h"},
	{path: "schedules[].report", def: "decisions", enum: []string{"decisions", "always", "never"}, doc: "when webhooks are called with [`night.report`](webhooks.md#events), and [robots](#robots) write: when a person must decide, after each night, or never. Only with `source`"},
	{path: "schedules[].allow", enum: []string{"allow-changes", "allow-suspicious", "allow-lost-chinese", "allow-equal-names", "allow-id-changes"}, doc: "guards that [never hold](runs.md#when-a-guard-holds-a-run) a night of this schedule, by their flags. Only with `source`"},
	{path: "schedules[].approve_within", def: "72h", doc: "how long a held night can be approved, 1m to 720h. Only with `source`"},
	{path: "schedules[].courses", one: "work", doc: "The courses of a ClassIn tenant, instead of a roster."},
	{path: "schedules[].courses.tenant", required: true, eg: `lakeside-classin`, doc: "the name of a tenant in this file with `classin`"},
	{path: "schedules[].courses.ids", required: true, eg: `["561290", "561291"]`, min: 1, form: courseForm, doc: "course ids, digits; each once"},

	{path: "secret", doc: "A secret is never written into the file. The file contains where to find it, exactly one of:"},
	{path: "secret.env", one: "source", doc: "the environment variable that contains it; trailing line ends are removed. It cannot change while the worker runs"},
	{path: "secret.file", one: "source", doc: "the file that contains it, a regular file of at most 64 KiB; trailing line ends are removed. A file that others may read or write is rejected. A reload (SIGHUP) reads it again"},

	{path: "limit", min: 1, max: 4, doc: "What a platform allows: one limit, `{calls: 20, per: 1s}`, or a list of up to 4 that hold all at once, `[{calls: 20, per: 1s}, {calls: 600, per: 1m}, {calls: 4000, per: 24h}]`. Each has another `per`, and at least one a shorter one than `24h`. A value below what the platform allows leaves room for other programs that use the same credentials.\n\nSends leave evenly spaced, (`per` + spread) / (`calls` - `burst`) apart, since requests that leave evenly do not arrive so. The spread begins at 45 ms (`window: fixed` 25 ms, `bucket` 5 ms) and is [learned](pacing.md#what-the-last-per-cent-costs) from then on. At least one call in 8 s: at a slower pace tasks run out of time while they wait. `24h` is a calendar day in Asia/Shanghai: its calls are counted, not spaced."},
	{path: "limit.calls", required: true, eg: `20`, min: 1, doc: "1 or more"},
	{path: "limit.per", required: true, eg: `1s`, doc: "the length: 100 ms to 1 h, or `24h` for a calendar day"},
	{path: "limit.window", def: "unknown", enum: []string{WindowUnknown, WindowSliding, WindowFixed, WindowBucket}, doc: "how the platform counts: in any window of that length, `sliding`; in windows that follow each other, `fixed`; by a `bucket` that fills up again evenly. `unknown` is paced as `sliding`, the strictest; `fixed` and `bucket` let the lane go nearer to the whole limit. With `24h` only `fixed` can stand"},
	{path: "limit.burst", def: "0", doc: "how many calls may leave back to back beyond the even spacing, less than `calls`. The spacing grows accordingly, so that the limit holds all the same. Not with `24h`"},
}

// words returns values as they stand in the file.
func words[S ~string](values []S) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = string(v)
	}
	return all
}

// find returns the row of a key; the zero key if there is none.
func find(path string) key {
	if i := slices.IndexFunc(keys, func(k key) bool { return k.path == path }); i >= 0 {
		return keys[i]
	}
	return key{}
}
