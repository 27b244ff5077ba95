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
	// FaultLatency waits latency plus up to jitter, and does nothing else.
	FaultLatency FaultKind = "latency"
	// FaultAnswer answers code in the API's own envelope, with message, status and headers
	// if they are set; or body literally.
	FaultAnswer FaultKind = "answer"
	// FaultHang never answers; the connection stays open until the client, or Close, ends
	// it.
	FaultHang FaultKind = "hang"
	// FaultReset closes the connection with RST.
	FaultReset FaultKind = "reset"
	// FaultOutage answers HTTP 502, or status, with the HTML page of a gateway, or body.
	// The platform does not get the call.
	FaultOutage FaultKind = "outage"
	// FaultRefused closes the connection with RST before the platform gets the call. The
	// connection itself is accepted: to refuse it, close the listener.
	FaultRefused FaultKind = "refused"
	// FaultTruncated executes the call and sends half of the answer's body, with the full
	// Content-Length.
	FaultTruncated FaultKind = "truncated"
	// FaultOddBody answers HTTP 200 with body, or {}.
	FaultOddBody FaultKind = "odd_body"
	// FaultExpiredToken revokes the app's token just before the call is decided; the next
	// fetch returns another.
	FaultExpiredToken FaultKind = "expired_token"
	// FaultBan answers as the firewall: HTTP 200 with status 1111.
	FaultBan FaultKind = "ban"
	// FaultLostPage ends v2/user/list a page early, as if the users of the last page did
	// not exist.
	FaultLostPage FaultKind = "lost_page"
)

// Fault is one fault. The fields of the first block select calls: all that are set must
// match. At, First and Share select among the matching calls, at most one of them;
// without them the fault applies to every one.
type Fault struct {
	Name         string `json:"name,omitempty"         yaml:"name"`         // for the log of calls; generated if absent
	API          string `json:"api,omitempty"          yaml:"api"`          // such as updategroupnick; absent: all
	Organisation string `json:"organisation,omitempty" yaml:"organisation"` // its name
	Tenant       string `json:"tenant,omitempty"       yaml:"tenant"`       // the app key or SID
	Chat         string `json:"chat,omitempty"         yaml:"chat"`         // of the call
	User         string `json:"user,omitempty"         yaml:"user"`         // of the call
	Course       string `json:"course,omitempty"       yaml:"course"`       // of the call
	Department   string `json:"department,omitempty"   yaml:"department"`   // the id of the call's department
	WantedID     string `json:"wanted_id,omitempty"    yaml:"wanted_id"`    // the ID that the call sets

	At    int           `json:"at,omitempty"    yaml:"at"`    // only the n-th matching call, from 1
	First int           `json:"first,omitempty" yaml:"first"` // the first n matching calls
	Share float64       `json:"share,omitempty" yaml:"share"` // this share of the matching calls, by the seed
	After time.Duration `json:"-"               yaml:"after"` // calls from that long after the fault was armed
	For   time.Duration `json:"-"               yaml:"for"`   // calls within that time; absent: without end

	Kind     FaultKind         `json:"kind"               yaml:"kind"`     // what happens to the call
	Applied  bool              `json:"applied,omitempty"  yaml:"applied"`  // an answer, hang, reset, outage or odd_body executes the call first; otherwise the call has no effect
	Lands    time.Duration     `json:"-"                  yaml:"lands"`    // a hang executes the call at a random time, up to that long after the client gave up
	Code     string            `json:"code,omitempty"     yaml:"code"`     // of an answer
	Message  string            `json:"message,omitempty"  yaml:"message"`  // of an answer; absent: the code's own
	Status   int               `json:"status,omitempty"   yaml:"status"`   // HTTP status; absent: the code's own
	Body     string            `json:"body,omitempty"     yaml:"body"`     // of an answer, outage or odd_body
	Headers  map[string]string `json:"headers,omitempty"  yaml:"headers"`  // set on the answer
	Envelope string            `json:"envelope,omitempty" yaml:"envelope"` // for updategroupnick: flat, the code is in errcode; nested, in sub_code behind errcode 88; absent: as the platform
	Latency  time.Duration     `json:"-"                  yaml:"latency"`  // passes before the call is decided, with any kind; several faults add up
	Jitter   time.Duration     `json:"-"                  yaml:"jitter"`   // up to so much more
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
	case FaultLostPage:
		if f.API != APIUsers {
			return fmt.Errorf("kind lost_page wants the api %s", APIUsers)
		}
	case FaultHang, FaultReset, FaultOutage, FaultRefused, FaultTruncated, FaultOddBody:
	default:
		return fmt.Errorf("unknown kind %q: want answer, latency, hang, reset, outage, refused, truncated, odd_body, expired_token, ban or lost_page", f.Kind)
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
