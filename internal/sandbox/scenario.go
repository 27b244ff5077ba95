package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"
)

// Scenario is the faults, and how strict the platforms are about rates.
type Scenario struct {
	// Limits replace all limits of the Config. nil: the Config's limits apply.
	Limits *Limits `yaml:"limits"`
	Faults []Fault `yaml:"faults"`
}

// FaultKind is what a fault does to a call.
type FaultKind string

const (
	// FaultLatency slows the call down and changes nothing else.
	FaultLatency FaultKind = "latency"
	// FaultAnswer answers Code in the envelope of the API, or Body as it is.
	FaultAnswer FaultKind = "answer"
	// FaultHang never answers; the connection stays open until the client, or
	// Close, ends it.
	FaultHang FaultKind = "hang"
	// FaultReset closes the connection with RST.
	FaultReset FaultKind = "reset"
	// FaultOutage answers 502 (or Status) with the HTML page of a gateway (or
	// Body). Unless Applied is set, nothing behind the gateway sees the call.
	FaultOutage FaultKind = "outage"
	// FaultRefused resets the connection before anything reads the call: the closest to
	// a refused connection that an open listener can do.
	FaultRefused FaultKind = "refused"
	// FaultTruncated carries the call out and sends half of the answer's body.
	FaultTruncated FaultKind = "truncated"
	// FaultOddBody answers HTTP 200 with a body of no known shape: Body, or {}.
	FaultOddBody FaultKind = "odd_body"
	// FaultExpiredToken revokes the app's token just before the call is judged.
	FaultExpiredToken FaultKind = "expired_token"
	// FaultBan answers as DingTalk answers a banned address.
	FaultBan FaultKind = "ban"
)

// Fault is one fault. The fields of the first block select calls: all that are set must
// match. At, First and Share select among the matching calls, at most one of them;
// without them the fault applies to every one.
type Fault struct {
	Name         string `json:"name,omitempty"         yaml:"name"` // for the log; empty: made up
	API          string `json:"api,omitempty"          yaml:"api"`
	Organisation string `json:"organisation,omitempty" yaml:"organisation"`
	Tenant       string `json:"tenant,omitempty"       yaml:"tenant"` // app key or SID
	Chat         string `json:"chat,omitempty"         yaml:"chat"`
	User         string `json:"user,omitempty"         yaml:"user"`
	Course       string `json:"course,omitempty"       yaml:"course"`
	WantedID     string `json:"wanted_id,omitempty"    yaml:"wanted_id"`

	At    int     `json:"at,omitempty"    yaml:"at"`    // the n-th matching call alone, from 1
	First int     `json:"first,omitempty" yaml:"first"` // the first n matching calls
	Share float64 `json:"share,omitempty" yaml:"share"` // this share of them, 0 < share <= 1
	// After and For make a window on the sandbox's clock, counted from when the
	// fault was armed. Calls outside it do not match. For 0: without end.
	After time.Duration `json:"-" yaml:"after"`
	For   time.Duration `json:"-" yaml:"for"`

	Kind FaultKind `json:"kind" yaml:"kind"`
	// Applied carries the call out before answer, hang, reset, outage or odd_body acts:
	// the platform applied it and the client cannot know.
	Applied bool `json:"applied,omitempty" yaml:"applied"`
	// Lands makes a hang that the client gives up late: the platform carries the call out
	// at a random time, up to Lands after that.
	Lands   time.Duration     `json:"-"                 yaml:"lands"`
	Code    string            `json:"code,omitempty"    yaml:"code"`
	Message string            `json:"message,omitempty" yaml:"message"` // empty: the code's own
	Status  int               `json:"status,omitempty"  yaml:"status"`  // HTTP; 0: the code's own
	Body    string            `json:"body,omitempty"    yaml:"body"`
	Headers map[string]string `json:"headers,omitempty" yaml:"headers"` // set on the answer
	// Envelope is "flat" or "nested" (in errcode 88) for updategroupnick.
	// Empty: as the platform wraps that code.
	Envelope string `json:"envelope,omitempty" yaml:"envelope"`
	// Latency, and up to Jitter in addition, pass before the call is decided. Any kind
	// may have them; those of all faults of a call add up.
	Latency time.Duration `json:"-" yaml:"latency"`
	Jitter  time.Duration `json:"-" yaml:"jitter"`
}

// MarshalJSON writes durations as in a scenario file, so that the output of
// /_sandbox/faults can be sent back to it.
func (f Fault) MarshalJSON() ([]byte, error) {
	type plain Fault
	return json.Marshal(struct {
		plain

		After   string `json:"after,omitempty"`
		For     string `json:"for,omitempty"`
		Lands   string `json:"lands,omitempty"`
		Latency string `json:"latency,omitempty"`
		Jitter  string `json:"jitter,omitempty"`
	}{plain(f), spell(f.After), spell(f.For), spell(f.Lands), spell(f.Latency), spell(f.Jitter)})
}

func spell(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// LoadScenario reads a scenario from YAML, or from JSON, which is YAML too. It
// refuses unknown keys and faults that could never fire, and names the line.
func LoadScenario(r io.Reader) (Scenario, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return Scenario{}, fmt.Errorf("read the scenario: %w", err)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return Scenario{}, errors.New("scenario: there is nothing in it: want limits, faults or both")
	}
	var scenario Scenario
	if err := yaml.Load(data, &scenario, yaml.WithKnownFields()); err != nil {
		return Scenario{}, fmt.Errorf("scenario: %w", err)
	}
	for i, f := range scenario.Faults {
		if err := f.validate(); err != nil {
			return Scenario{}, fmt.Errorf("scenario: line %d: %w", lineOf(data, i), err)
		}
	}
	if scenario.Limits != nil {
		if _, err := scenario.Limits.withDefaults(); err != nil {
			return Scenario{}, fmt.Errorf("scenario: %w", err)
		}
	}
	return scenario, nil
}

// lineOf returns the line on which the i-th fault starts. 0: unknown.
func lineOf(data []byte, i int) int {
	var lines struct {
		Faults []yaml.Node `yaml:"faults"`
	}
	if err := yaml.Load(data, &lines); err != nil || i >= len(lines.Faults) {
		return 0
	}
	return lines.Faults[i].Line
}

func (f Fault) validate() error {
	err := f.validateMatch()
	if err == nil {
		err = f.validateKind()
	}
	if err == nil {
		return nil
	}
	if f.Name != "" {
		return fmt.Errorf("fault %q: %w", f.Name, err)
	}
	return fmt.Errorf("fault: %w", err)
}

func (f Fault) validateMatch() error {
	if f.API != "" && !knownAPI(f.API) {
		return fmt.Errorf("unknown api %q: want one of %q", f.API, apiNames())
	}
	chosen := 0
	for _, set := range []bool{f.At != 0, f.First != 0, f.Share != 0} {
		if set {
			chosen++
		}
	}
	switch {
	case chosen > 1:
		return errors.New("at, first and share exclude each other: keep one")
	case f.At < 0 || f.First < 0:
		return errors.New("at and first count from 1")
	case !(f.Share >= 0 && f.Share <= 1):
		return fmt.Errorf("share %v: want more than 0 and at most 1", f.Share)
	}
	for name, d := range map[string]time.Duration{"after": f.After, "for": f.For, "lands": f.Lands, "latency": f.Latency, "jitter": f.Jitter} {
		if d < 0 || (d > 0 && d < time.Microsecond) {
			return fmt.Errorf("%s %s: want 0, or at least a microsecond", name, d)
		}
	}
	return nil
}

func (f Fault) validateKind() error {
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		return fmt.Errorf("status %d: want 200 to 599", f.Status)
	}
	if f.Envelope != "" && f.Envelope != "flat" && f.Envelope != "nested" {
		return fmt.Errorf("envelope %q: want flat or nested", f.Envelope)
	}
	if f.Envelope != "" && f.API != APIGroupNick {
		return fmt.Errorf("envelope: only %s has two of them", APIGroupNick)
	}
	if f.Applied && !slices.Contains([]FaultKind{FaultAnswer, FaultHang, FaultReset, FaultOutage, FaultOddBody}, f.Kind) {
		return fmt.Errorf("applied means nothing to kind %q: it belongs to answer, hang, reset, outage and odd_body", f.Kind)
	}
	if f.Lands > 0 && (f.Kind != FaultHang || !f.Applied) {
		return errors.New("lands belongs to kind hang with applied")
	}
	switch f.Kind {
	case FaultAnswer:
		return f.validateAnswer()
	case FaultLatency:
		if f.Latency == 0 && f.Jitter == 0 {
			return errors.New("kind latency wants a latency or a jitter")
		}
	case FaultExpiredToken, FaultBan:
		if d := dialectOf(f.API); d != nil && !d.dingtalk || (f.API == APIToken && f.Kind == FaultExpiredToken) {
			return fmt.Errorf("kind %s cannot happen to %s", f.Kind, f.API)
		}
	case FaultHang, FaultReset, FaultOutage, FaultRefused, FaultTruncated, FaultOddBody:
	default:
		return fmt.Errorf("unknown kind %q: want answer, latency, hang, reset, outage, refused, truncated, odd_body, expired_token or ban", f.Kind)
	}
	return nil
}

func (f Fault) validateAnswer() error {
	switch {
	case f.Code == "" && f.Body == "":
		return errors.New("kind answer wants a code or a body")
	case f.Code != "" && f.Body == "" && f.API == "":
		return errors.New("a code wants an api: each has codes of its own")
	case f.Code != "" && f.Body == "" && dialectOf(f.API).numeric && !isInteger(f.Code):
		return fmt.Errorf("code %q: the codes of %s are numbers", f.Code, f.API)
	}
	return nil
}
