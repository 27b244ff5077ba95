package monitor

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hibiken/asynqmon"

	"rollcall/internal/kinds"
	"rollcall/internal/privacy"
)

// payload returns the payload as the web UI shows it. Names and ids of people are
// masked; those of chats, courses and tenants are not.
func (c Config) payload(typename string, payload []byte) string {
	if c.ShowPersonalData || slices.Contains(c.PlainTypes, typename) {
		return asynqmon.DefaultPayloadFormatter(typename, payload)
	}
	task, meta, err := kinds.Decode(typename, payload)
	if err != nil {
		return hidden(payload)
	}
	_, shown, err := kinds.Encode(privacy.Task(task), meta.Revision)
	if err != nil {
		return hidden(payload)
	}
	return string(shown)
}

// hidden replaces a text that may contain a name.
func hidden(content []byte) string {
	return fmt.Sprintf("%d bytes, not shown: they may name people", len(content))
}

// result returns the handlers' report as the web UI shows it. Took is the DingTalk ID
// that the platform accepted.
func (c Config) result(typename string, result []byte) string {
	if c.ShowPersonalData || slices.Contains(c.PlainTypes, typename) {
		return asynqmon.DefaultResultFormatter(typename, result)
	}
	var report struct {
		Outcome   string `json:"outcome,omitempty"`
		RequestID string `json:"request_id,omitempty"`
		Sends     int    `json:"sends"`
		Took      string `json:"took,omitempty"`
	}
	if len(result) == 0 {
		return ""
	}
	if _, ours := kinds.OfType(typename); !ours || json.Unmarshal(result, &report) != nil {
		return hidden(result)
	}
	report.Took = privacy.Mask(report.Took)
	shown, err := json.Marshal(report)
	if err != nil {
		return hidden(result)
	}
	return string(shown)
}
