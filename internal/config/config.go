// Package config parses one YAML file into plain values. It reports everything that is
// wrong with the file at once, each problem with its line and what to do.
//
// Secrets come from the environment or from files, never from the YAML. The package
// must not know Redis, asynq or any platform's client.
package config

import (
	"time"

	"go.yaml.in/yaml/v4"
)

// Config is the configuration of a worker. Load fills in every default and validates
// it. keys.go contains the meaning, default and bounds of each key. The JSON of some parts
// is shown by worker check --json: it has no secret.
type Config struct {
	Redis         Redis          `yaml:"redis"`
	HTTP          HTTP           `yaml:"http"`
	API           API            `yaml:"api"`
	Webhooks      []Webhook      `yaml:"webhooks"`
	Robots        []Robot        `yaml:"robots"`
	Log           Log            `yaml:"log"`
	StopTimeout   Duration       `yaml:"stop_timeout"`
	DeadLetters   DeadLetters    `yaml:"dead_letters"`
	Runs          Runs           `yaml:"runs"`
	Egress        Egress         `yaml:"egress"`
	Organisations []Organisation `yaml:"organisations"`
	Schedules     []Schedule     `yaml:"schedules"`
}

// Redis is the address of the Redis that stores the tasks: exactly one of URL,
// Embedded, Sentinel and Cluster is set.
type Redis struct {
	URL      string    `yaml:"url"`
	Embedded string    `yaml:"embedded"`
	Sentinel *Sentinel `yaml:"sentinel"`
	Cluster  *Cluster  `yaml:"cluster"`
	Username string    `yaml:"username"`
	Password Source    `yaml:"password"`
	TLS      *TLS      `yaml:"tls"` // nil: TLS only if the URL is rediss://
}

// Sentinel finds the master of a replicated Redis. Username and Password are those of
// the sentinels.
type Sentinel struct {
	Master    string   `yaml:"master"`
	Addresses []string `yaml:"addresses"`
	Username  string   `yaml:"username"`
	Password  Source   `yaml:"password"`
}

// Cluster is a Redis Cluster, by some of its nodes. The others are discovered.
type Cluster struct {
	Addresses []string `yaml:"addresses"`
}

// TLS is the TLS settings of the connections to Redis. Paths are resolved. The zero
// value uses the machine's certificate authorities and no client certificate.
type TLS struct {
	CA         string `yaml:"ca"`
	Cert       string `yaml:"cert"`
	Key        string `yaml:"key"`
	ServerName string `yaml:"server_name"`
}

// HTTP is the worker's web server: pages, metrics and probes.
type HTTP struct {
	Listen           string     `yaml:"listen"` // "off" for none
	TLS              *ServerTLS `yaml:"tls"`    // nil: no listener with TLS
	Proxy            []string   `yaml:"proxy"`  // addresses and networks of the proxies in front
	Users            []User     `yaml:"users"`
	Writable         bool       `yaml:"writable"`
	ShowPersonalData bool       `yaml:"show_personal_data"`
}

// ServerTLS is a second listener of the web server, with TLS. Paths are resolved.
type ServerTLS struct {
	Listen string `yaml:"listen"`
	Cert   string `yaml:"cert"`
	Key    string `yaml:"key"`
}

// API is who may use the HTTP API.
type API struct {
	Tokens []Token `yaml:"tokens"`
}

// Token is a bearer token of the API.
type Token struct {
	Name    string   `json:"name"             yaml:"name"`
	Scopes  []string `json:"scopes"           yaml:"scopes"`
	Tenants []string `json:"tenants,omitzero" yaml:"tenants"` // nil: all
	Expires string   `json:"expires"          yaml:"expires"` // a date: the token is valid until its end in UTC
	Hash    Source   `json:"-"                yaml:"hash"`    // of its secret, or of two
}

// Webhook is a URL that is called when a run or a lane needs attention.
type Webhook struct {
	Name    string   `json:"name"             yaml:"name"`
	URL     string   `json:"-"                yaml:"url"`     // may contain a secret
	Secret  Source   `json:"-"                yaml:"secret"`  // one, or two during a rotation
	Events  []string `json:"events,omitzero"  yaml:"events"`  // nil: all
	Tenants []string `json:"tenants,omitzero" yaml:"tenants"` // nil: all
	Allow   []string `json:"-"                yaml:"allow"`   // private networks that its host may be in
}

// Robot is a DingTalk robot that writes the reports of nightly syncs to its group.
type Robot struct {
	Name         string   `yaml:"name"`
	Organisation string   `yaml:"organisation"` // whose messages are counted
	Webhook      Source   `yaml:"webhook"`
	Secret       Source   `yaml:"secret"`    // signs
	Language     string   `yaml:"language"`  // en or zh
	Schedules    []string `yaml:"schedules"` // nil: all
}

// User is a user of the pages.
type User struct {
	Name     string `yaml:"name"`
	Password Source `yaml:"password"`
	Role     string `yaml:"role"`  // an access.Role
	Names    bool   `yaml:"names"` // sees names and ids of people in clear
}

// Log is the level and format of the log.
type Log struct {
	Level            string `json:"level"              yaml:"level"`
	Format           string `json:"format"             yaml:"format"`
	ShowPersonalData bool   `json:"show_personal_data" yaml:"show_personal_data"`
}

// Runs is how long runs and results are kept.
type Runs struct {
	Keep int `yaml:"keep"` // days
}

// DeadLetters is how long dead letters are kept.
type DeadLetters struct {
	Keep Duration `yaml:"keep"` // 0: without limit
}

// Egress is the address that DingTalk sees, and what DingTalk allows from one address
// over all tenants. Workers with the same Name share one count.
type Egress struct {
	Name  string   `yaml:"name"`
	Calls int      `yaml:"calls"`
	Per   Duration `yaml:"per"`
}

// Organisation is a DingTalk corp or a ClassIn school, or both under one name.
type Organisation struct {
	Name    string   `yaml:"name"`
	Quota   Quota    `yaml:"quota"`
	Tenants []Tenant `yaml:"tenants"`
}

// Quota is what DingTalk grants an organisation in a calendar month in Asia/Shanghai:
// metered calls of all its tenants together.
type Quota struct {
	Calls   int `yaml:"calls"`   // 0: counted but not bounded
	Warn    int `yaml:"warn"`    // percentage of Calls from which a warning is given
	Reserve int `yaml:"reserve"` // percentage of Calls that is reserved for urgent tasks
	// Messages are those of robots, which DingTalk bills apart. 0: counted but not bounded.
	Messages int `yaml:"messages"`
}

// Tenant is one set of credentials on one platform: exactly one of DingTalk and
// ClassIn is set.
type Tenant struct {
	Name     string    `yaml:"name"`
	DingTalk *DingTalk `yaml:"dingtalk"`
	ClassIn  *ClassIn  `yaml:"classin"`
}

// Schedule is what is done automatically, and when: exactly one of Roster, Courses and
// Source is set.
type Schedule struct {
	Name    string   `yaml:"name"`
	Cron    string   `yaml:"cron"`
	Zone    string   `yaml:"zone"`
	Jitter  Duration `yaml:"jitter"`
	Overlap string   `yaml:"overlap"` // queue or skip
	// MisfireWindow is how late a tick may begin.
	MisfireWindow Duration `yaml:"misfire_window"`

	Roster  string   `yaml:"roster"` // path of a CSV file, resolved
	Courses *Courses `yaml:"courses"`

	Source *RosterSource `yaml:"source"`
	// Names is the rule by which the people of the source are named, as the file has it:
	// package naming reads it. Zero: the columns of the source are those of a roster.
	Names   yaml.Node `yaml:"names"`
	Absence *Absence  `yaml:"absence"` // nil: no member is removed; the default bounds
	Refresh *Refresh  `yaml:"refresh"` // nil: no name is confirmed
	Report  string    `yaml:"report"`  // decisions, always or never
	Allow   []string  `yaml:"allow"`   // flags of guards, without dashes
	// ApproveWithin is how long a held night can be approved.
	ApproveWithin Duration `yaml:"approve_within"`
}

// RosterSource is where a nightly sync reads its roster, exactly one of Files, HTTPS,
// OneRoster, SQL and Contacts, and what stands in for columns.
type RosterSource struct {
	Files     *RosterFiles    `yaml:"files"`
	HTTPS     *RosterHTTPS    `yaml:"https"`
	OneRoster *RosterBundle   `yaml:"oneroster"`
	SQL       *RosterSQL      `yaml:"sql"`
	Contacts  *RosterContacts `yaml:"contacts"`

	Tenant string `yaml:"tenant"`
	Kind   string `yaml:"kind"`
	Chat   string `yaml:"chat"`
	// Columns are "NAME=COLUMN": what the roster calls a column, and which one it is.
	Columns []string `yaml:"columns"`
}

// RosterFiles is a file, or a pattern of which the newest match counts.
type RosterFiles struct {
	Path     string   `yaml:"path"`    // resolved
	Done     string   `yaml:"done"`    // a marker; empty: none
	Settle   Duration `yaml:"settle"`  // how long the file must not change
	MaxAge   Duration `yaml:"max_age"` // 0: any
	Encoding string   `yaml:"encoding"`
	Sheet    string   `yaml:"sheet"`
}

// RosterHTTPS is a table at a URL, with a token, or a user name and a password, or neither.
type RosterHTTPS struct {
	URL      Source   `yaml:"url"`
	Bearer   Source   `yaml:"bearer"`
	Username string   `yaml:"username"`
	Password Source   `yaml:"password"`
	CA       string   `yaml:"ca"` // path of a PEM file, resolved
	Timeout  Duration `yaml:"timeout"`
	MaxAge   Duration `yaml:"max_age"` // 0: any
	Encoding string   `yaml:"encoding"`
	Sheet    string   `yaml:"sheet"`
}

// RosterBundle is a OneRoster bundle: a ZIP file, a directory, or a pattern for either.
type RosterBundle struct {
	Path   string   `yaml:"path"` // resolved
	Done   string   `yaml:"done"`
	Settle Duration `yaml:"settle"`
	MaxAge Duration `yaml:"max_age"` // 0: any
}

// RosterSQL is a query of a database.
type RosterSQL struct {
	Engine  string   `yaml:"engine"` // postgresql or mysql
	DSN     Source   `yaml:"dsn"`
	Query   string   `yaml:"query"`
	Timeout Duration `yaml:"timeout"` // of a statement
}

// RosterContacts are the departments and people of a DingTalk tenant.
type RosterContacts struct {
	Tenant      string   `yaml:"tenant"`
	Departments []string `yaml:"departments"` // ids; empty: the whole organisation
	Exclude     []string `yaml:"exclude"`     // ids
}

// Absence is what happens when members are missing in the roster.
type Absence struct {
	Nights             int      `yaml:"nights"` // 0: no member is removed
	Chats              []string `yaml:"chats"`
	Missing            int      `yaml:"missing"`
	MissingPercent     int      `yaml:"missing_percent"`
	ChatMissing        int      `yaml:"chat_missing"`
	ChatMissingPercent int      `yaml:"chat_missing_percent"`
}

// Refresh is how names are confirmed that were not for long.
type Refresh struct {
	Percent int      `yaml:"percent"` // of the month's spare calls
	After   Duration `yaml:"after"`
}

// Courses are the ClassIn courses that a schedule syncs.
type Courses struct {
	Tenant string   `yaml:"tenant"`
	IDs    []string `yaml:"ids"`
}

// StopMargin is what a stop needs in addition to the longest HTTP exchange: the slot
// before it and the settle after it. It must equal that of lane.ShutdownTimeout.
const StopMargin = 31 * time.Second

// LongestStop returns how long a stop may take, given the tenants' timeouts.
func (c *Config) LongestStop() time.Duration {
	var longest time.Duration
	for _, t := range c.Tenants() {
		longest = max(longest, t.Platform().Timeout)
	}
	return longest + StopMargin
}
