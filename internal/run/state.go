package run

import (
	"context"
	"errors"
	"maps"
)

// event is what can happen to a run.
type event string

const (
	eventPlan    event = "plan"
	eventHold    event = "hold"
	eventApply   event = "apply"
	eventApprove event = "approve"
	eventReject  event = "reject"
	eventPass    event = "pass"
	eventPause   event = "pause"
	eventResume  event = "resume"
	eventCancel  event = "cancel"
	eventFinish  event = "finish"
	eventExpire  event = "expire"
)

// transitions is the whole life of a run: the state after an event, by the state before.
// An event that is missing is refused. A run begins to send in the state canary, also
// without one: the worker that feeds it passes it then.
var transitions = map[State]map[event]State{
	StateUploading: {eventPlan: StatePlanned, eventCancel: StateCancelled, eventExpire: StateExpired},
	StatePlanned: {
		eventPlan: StatePlanned, eventHold: StateHeld, eventApply: StateCanary, eventReject: StateRejected,
		eventCancel: StateCancelled, eventExpire: StateExpired,
	},
	StateHeld: {
		eventPlan: StatePlanned, eventApprove: StateCanary, eventReject: StateRejected, eventCancel: StateCancelled,
		eventExpire: StateExpired,
	},
	StateCanary:   {eventPass: StateApplying, eventPause: StatePaused, eventCancel: StateCancelled, eventFinish: StateDone},
	StateApplying: {eventPause: StatePaused, eventCancel: StateCancelled, eventFinish: StateDone},
	// The worker that feeds a resumed run passes the canary again if it had passed.
	StatePaused: {eventResume: StateCanary, eventCancel: StateCancelled},
}

// errUnchanged reports that a run is already where an event leads.
var errUnchanged = errors.New("the run is in that state already")

// after returns the state after an event.
func (h *head) after(e event) (State, error) {
	if next, ok := transitions[h.state()][e]; ok {
		return next, nil
	}
	return "", &StateError{ID: h.id, State: h.state(), Reason: h.fields[fieldReason], Event: string(e)}
}

// tries bounds how often a change of a run is tried again because another one was faster.
const tries = 20

// change reads a run and changes it as decide says, again if it was changed in between.
// decide returns errUnchanged if nothing is to be done.
func (s *Service) change(ctx context.Context, id string, decide func(*head) (update, error)) (*head, error) {
	for range tries {
		h, err := s.load(ctx, id)
		if err != nil {
			return nil, err
		}
		u, err := decide(h)
		if errors.Is(err, errUnchanged) {
			return h, nil
		}
		if err != nil {
			return nil, err
		}
		if u.when == nil {
			u.when = map[string]string{}
		}
		u.when[fieldState] = string(h.state())
		err = s.write(ctx, id, u)
		if errors.Is(err, errChanged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		maps.Copy(h.fields, u.set)
		return h, nil
	}
	return nil, &BusyError{ID: id, What: "others change it all the time"}
}

// step moves a run by an event. A run that is already in the state that the event leads
// to stays as it is, so a step may be repeated.
func (s *Service) step(ctx context.Context, id string, e event, by, reason string, more func(*head, *update) error) (*head, error) {
	return s.change(ctx, id, func(h *head) (update, error) {
		u, err := h.move(e, by, reason)
		if err != nil {
			if leads(e, h.state()) || e == eventResume && h.state().Sends() {
				return update{}, errUnchanged
			}
			return update{}, err
		}
		if more != nil {
			err = more(h, &u)
		}
		return u, err
	})
}

// move returns the update that an event makes to a run.
func (h *head) move(e event, by, reason string) (update, error) {
	next, err := h.after(e)
	if err != nil {
		return update{}, err
	}
	u := update{when: map[string]string{fieldChanged: h.fields[fieldChanged]}, set: map[string]string{
		fieldState: string(next), fieldBy: by, fieldReason: reason, fieldChanged: micros(h.now), fieldProgress: "",
	}}
	if next.Ended() {
		u.set[fieldEnded] = micros(h.now)
	}
	if history := h.history(next); len(history) > 0 {
		u.set[fieldHistory] = text(history)
	}
	if announced(next) {
		u.set[fieldAnnounce+string(next)], u.announced = micros(h.now), h.now
	}
	return u, nil
}

// leads reports whether an event leads to a state at all.
func leads(e event, to State) bool {
	for _, events := range transitions {
		if events[e] == to {
			return true
		}
	}
	return false
}

// mostSteps bounds the history of a run: one that is paused and resumed all day keeps its
// first step and the last ones.
const mostSteps = 50

// history returns the states of a run before the next one. To plan a run again is no step.
func (h *head) history(next State) []Step {
	var all []Step
	h.read(fieldHistory, &all)
	now := Step{State: h.state(), At: h.time(fieldChanged).UTC(), By: h.fields[fieldBy], Reason: h.fields[fieldReason]}
	if next == now.State || now.At.IsZero() {
		return all
	}
	if all = append(all, now); len(all) > mostSteps {
		all = append(all[:1], all[len(all)-mostSteps+1:]...)
	}
	return all
}
