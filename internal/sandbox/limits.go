package sandbox

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Limits are the rates and quotas of the platforms. The zero value of each field means
// the documented default, or if nothing is documented the default named here.
type Limits struct {
	// Windows are the rate limits by API, each counted separately per app (or SID) and
	// API. A missing API has its default: 20 per second, sliding, at DingTalk
	// (open.dingtalk.com/document/development/how-to-process-api-throttling-on-the-dingtalk-server)
	// and 10 a second, sliding, at ClassIn, which documents none for these calls.
	// An API with an empty list has no limit.
	Windows map[string][]Window `yaml:"windows"`
	// MonthlyQuota is the number of metered calls of an organisation in a
	// calendar month. 0: 5,000, the standard edition. Negative: none.
	MonthlyQuota int `yaml:"monthly_quota"`
	// TokenLifetime is how long an access token lives after it was last
	// fetched, in whole seconds. 0: 7,200 s.
	TokenLifetime time.Duration `yaml:"token_lifetime"`
	// Address is the limit of one client address over all DingTalk calls. Zero:
	// 10,000 in 20 s. Calls < 0: none.
	Address Window `yaml:"address"`
	// AddressBan is how long an address stays banned. 0: 5 minutes.
	AddressBan time.Duration `yaml:"address_ban"`
}

// Window is one rate limit: so many calls in so long, counted in one of three
// ways. Refused calls are not counted.
type Window struct {
	Kind  WindowKind    `yaml:"kind"`
	Calls int           `yaml:"calls"`
	Per   time.Duration `yaml:"per"` // 0: a second
}

// WindowKind is how a window counts. The zero value is sliding.
type WindowKind string

const (
	// Sliding looks back from each call over the whole period: the strictest.
	Sliding WindowKind = "sliding"
	// Fixed counts in periods aligned to the clock; twice the calls fit around
	// a turn.
	Fixed WindowKind = "fixed"
	// Bucket contains up to Calls tokens, is full at first, and refills evenly.
	Bucket WindowKind = "bucket"
)

func (l Limits) withDefaults() (Limits, error) {
	windows := map[string][]Window{}
	for _, e := range endpoints() {
		if e.api == APIRobot {
			windows[e.api] = []Window{} // each robot counts for itself
			continue
		}
		calls := 10
		if e.dialect.dingtalk {
			calls = 20
		}
		windows[e.api] = []Window{{Calls: calls}}
	}
	for _, api := range slices.Sorted(maps.Keys(l.Windows)) {
		if !knownAPI(api) {
			return l, fmt.Errorf("limits: unknown API %q: want one of %q", api, apiNames())
		}
		windows[api] = slices.Clone(l.Windows[api])
	}
	for api, list := range windows {
		for i, w := range list {
			w, err := w.withDefaults()
			if err != nil {
				return l, fmt.Errorf("limits: windows of %s: %w", api, err)
			}
			list[i] = w
		}
	}
	l.Windows = windows
	if l.MonthlyQuota == 0 {
		l.MonthlyQuota = 5000
	}
	if l.TokenLifetime == 0 {
		l.TokenLifetime = 7200 * time.Second
	}
	if l.TokenLifetime < time.Second {
		return l, fmt.Errorf("limits: token lifetime %s: want at least a second", l.TokenLifetime)
	}
	if l.AddressBan == 0 {
		l.AddressBan = 5 * time.Minute
	}
	if l.AddressBan < 0 {
		return l, fmt.Errorf("limits: address ban %s: want a positive time", l.AddressBan)
	}
	if l.Address == (Window{}) {
		l.Address = Window{Calls: 10_000, Per: 20 * time.Second}
	}
	if l.Address.Calls < 0 {
		return l, nil
	}
	address, err := l.Address.withDefaults()
	if err != nil {
		return l, fmt.Errorf("limits: address: %w", err)
	}
	l.Address = address
	return l, nil
}

func (w Window) withDefaults() (Window, error) {
	if w.Kind == "" {
		w.Kind = Sliding
	}
	if w.Per == 0 {
		w.Per = time.Second
	}
	switch {
	case !slices.Contains([]WindowKind{Sliding, Fixed, Bucket}, w.Kind):
		return w, fmt.Errorf("kind %q: want sliding, fixed or bucket", w.Kind)
	case w.Calls < 1:
		return w, fmt.Errorf("%d calls: want at least 1", w.Calls)
	case w.Per < time.Millisecond:
		return w, fmt.Errorf("per %s: want at least a millisecond", w.Per)
	}
	return w, nil
}

func (w Window) open() window {
	switch w.Kind {
	case Fixed:
		return &fixedWindow{Window: w}
	case Bucket:
		return &bucketWindow{Window: w, tokens: float64(w.Calls)}
	default:
		return &slidingWindow{Window: w}
	}
}

// calendarMonth names the month in which a call is counted. The quota's page
// speaks of calendar months and DingTalk lives on Beijing time, which has known
// no summer time since 1991.
func calendarMonth(now time.Time) string {
	return now.In(time.FixedZone("Asia/Shanghai", 8*60*60)).Format("2006-01")
}

func (o *organisation) turnMonth(now time.Time) {
	if month := calendarMonth(now); month != o.month {
		o.month, o.spent, o.messages = month, 0, 0
	}
}

func (s *Sandbox) quotaOf(o *organisation) int {
	if o.quota != 0 {
		return o.quota
	}
	return s.limits.MonthlyQuota
}

// spend books one metered call. False: the month's quota is used up.
func (s *Sandbox) spend(o *organisation, now time.Time) bool {
	o.turnMonth(now)
	if quota := s.quotaOf(o); quota >= 0 && o.spent >= quota {
		return false
	}
	o.spent++
	return true
}
