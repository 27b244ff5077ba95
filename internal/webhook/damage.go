package webhook

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// callID is the id of the task of a call: "<event>:<endpoint>", and ":<n>" for the nth time
// that it was made again.
type callID struct {
	event, endpoint string
	again           int
}

func (id callID) String() string {
	text := id.event + ":" + id.endpoint
	if id.again > 0 {
		text += ":" + strconv.Itoa(id.again)
	}
	return text
}

// parseID reads the id of a task.
func parseID(task string) (id callID, ok bool) {
	parts := strings.Split(task, ":")
	if len(parts) == 3 {
		n, err := strconv.Atoi(parts[2])
		if err != nil || n < 1 {
			return callID{}, false
		}
		id.again = n
	} else if len(parts) != 2 {
		return callID{}, false
	}
	id.event, id.endpoint = parts[0], parts[1]
	return id, id.event != "" && id.endpoint != ""
}

// Restore stores a call again whose record cannot be read: only the id of its task is known.
// If its event is not known any more, the call is reported as given up. An error means that
// it must be tried again. It may be repeated: an endpoint that is called twice sees the same
// id.
func (s *Service) Restore(ctx context.Context, task string) error {
	id, ok := parseID(task)
	if !ok {
		s.report(ctx, "", fmt.Sprintf("task %.80q: its record in Redis is damaged", task))
		return nil
	}
	event, known := Event{}, false
	if s.again != nil {
		var err error
		if event, known, err = s.again(ctx, id.event); err != nil {
			return fmt.Errorf("read event %s again: %w", id.event, err)
		}
	}
	// Another worker may know an endpoint that this one does not.
	unwanted := slices.ContainsFunc(s.all(), func(e Endpoint) bool { return e.Name == id.endpoint && !e.wants(event) })
	if !known || unwanted {
		s.report(ctx, id.endpoint, id.event+": its record in Redis is damaged, and nothing is known of it any more")
		return nil
	}
	body, err := event.body()
	if err != nil {
		return fmt.Errorf("event %s has no JSON: %w", id.event, err)
	}
	id.again++
	if err := s.store(ctx, id, body); err != nil {
		return err
	}
	s.log.Warn("call of a webhook whose record was damaged stored again", "webhook", id.endpoint, "event", id.event)
	return nil
}
