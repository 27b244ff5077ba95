package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// FaultStatus is an armed fault and how often it was met.
type FaultStatus struct {
	ID      int   `json:"id"`
	Matched int   `json:"matched"` // calls that it could have struck
	Fired   int   `json:"fired"`   // calls that it did strike
	Fault   Fault `json:"fault"`
}

// Arm adds faults while the sandbox runs and returns their ids. If one of them could
// never occur, Arm returns an error and adds none.
func (s *Sandbox) Arm(faults ...Fault) ([]int, error) {
	for _, f := range faults {
		if err := f.validate(); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := []int{}
	for _, f := range faults {
		ids = append(ids, s.faults.arm(f, s.clock()))
	}
	return ids, nil
}

// Disarm removes one fault. False: there is none with this id.
func (s *Sandbox) Disarm(id int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults.disarm(id)
}

// DisarmAll removes every fault and returns how many there were. Calls that
// hang already go on hanging.
func (s *Sandbox) DisarmAll() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.faults.armed)
	s.faults.armed = nil
	return n
}

// Faults returns the armed faults in the order in which they were added.
func (s *Sandbox) Faults() []FaultStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []FaultStatus{}
	for _, f := range s.faults.armed {
		list = append(list, FaultStatus{ID: f.id, Matched: f.matched, Fired: f.fired, Fault: f.Fault})
	}
	return list
}

const errorKey = "error"

// adminRoute is one line of the admin API, and of its own table of contents.
type adminRoute struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Does   string `json:"does"`
	serve  http.HandlerFunc
}

func (s *Sandbox) adminHandler() http.Handler {
	const get, faults = http.MethodGet, "/_sandbox/faults"
	routes := []adminRoute{
		{get, "/_sandbox/state", "what the platforms believe now", s.serveState},
		{get, "/_sandbox/effects", "every change, oldest first; ?after=N leaves out the first N", s.serveEffects},
		{get, "/_sandbox/calls", "the last calls, in the order they were decided; ?after=N leaves out those numbered up to N", s.serveCalls},
		{get, faults, "the armed faults, with how often they were met", s.serveFaults},
		{http.MethodPost, faults, "arm the faults of a scenario, in YAML or JSON", s.serveArm},
		{http.MethodDelete, faults, "disarm all faults", s.serveDisarmAll},
		{http.MethodDelete, faults + "/{id}", "disarm one fault", s.serveDisarm},
		{http.MethodPost, "/_sandbox/tokens/expire", "make every access token invalid", s.serveExpire},
	}
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.HandleFunc(route.Method+" "+route.Path, route.serve)
	}
	mux.HandleFunc("GET /_sandbox/{$}", func(w http.ResponseWriter, _ *http.Request) {
		writeAdmin(w, http.StatusOK, map[string]any{"routes": routes})
	})
	mux.Handle("GET /_sandbox", http.RedirectHandler("/_sandbox/", http.StatusMovedPermanently))
	return mux
}

func (s *Sandbox) serveState(w http.ResponseWriter, _ *http.Request) {
	writeAdmin(w, http.StatusOK, s.State())
}

func (s *Sandbox) serveEffects(w http.ResponseWriter, r *http.Request) {
	after, ok := numberAfter(w, r)
	if !ok {
		return
	}
	list := []Effect{}
	for _, e := range s.Effects() {
		if e.Number > after {
			list = append(list, e)
		}
	}
	writeAdmin(w, http.StatusOK, map[string]any{"effects": list})
}

func (s *Sandbox) serveCalls(w http.ResponseWriter, r *http.Request) {
	after, ok := numberAfter(w, r)
	if !ok {
		return
	}
	list := []Call{}
	for _, c := range s.Calls() {
		if c.Number > after {
			list = append(list, c)
		}
	}
	writeAdmin(w, http.StatusOK, map[string]any{"calls": list, "arrived": s.Arrived()})
}

func (s *Sandbox) serveFaults(w http.ResponseWriter, _ *http.Request) {
	writeAdmin(w, http.StatusOK, map[string]any{"faults": s.Faults()})
}

func (s *Sandbox) serveArm(w http.ResponseWriter, r *http.Request) {
	scenario, err := LoadScenario(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil && scenario.Limits != nil {
		err = errors.New("limits cannot change while the sandbox runs: give them when it starts")
	}
	if err == nil && len(scenario.Faults) == 0 {
		err = errors.New(`no faults: want {"faults": [...]}`)
	}
	var ids []int
	if err == nil {
		ids, err = s.Arm(scenario.Faults...)
	}
	if err != nil {
		writeAdmin(w, http.StatusBadRequest, map[string]any{errorKey: err.Error()})
		return
	}
	writeAdmin(w, http.StatusCreated, map[string]any{"ids": ids})
}

func (s *Sandbox) serveDisarmAll(w http.ResponseWriter, _ *http.Request) {
	writeAdmin(w, http.StatusOK, map[string]any{"disarmed": s.DisarmAll()})
}

func (s *Sandbox) serveDisarm(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || !s.Disarm(id) {
		writeAdmin(w, http.StatusNotFound, map[string]any{errorKey: fmt.Sprintf("no fault with id %q", r.PathValue("id"))})
		return
	}
	writeAdmin(w, http.StatusOK, map[string]any{"disarmed": 1})
}

func (s *Sandbox) serveExpire(w http.ResponseWriter, _ *http.Request) {
	writeAdmin(w, http.StatusOK, map[string]any{"expired": s.ExpireTokens()})
}

func numberAfter(w http.ResponseWriter, r *http.Request) (int64, bool) {
	text := r.URL.Query().Get("after")
	if text == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		writeAdmin(w, http.StatusBadRequest, map[string]any{errorKey: fmt.Sprintf("after=%s: want a number", text)})
		return 0, false
	}
	return n, true
}

func writeAdmin(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		http.Error(w, fmt.Sprintf("sandbox: %v", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}
