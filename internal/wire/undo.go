package wire

import (
	"time"

	"rollcall/internal/run"
)

// Undoing is what an undo of a run would take back now.
type Undoing struct {
	Can  int            `doc:"Rows that can be taken back"                       json:"can"`
	Left map[string]int `doc:"Applied rows that cannot be taken back, by reason" json:"left,omitempty"`
}

// Restored compares an undo with the run that it takes back.
type Restored struct {
	Counts map[run.Verdict]int `doc:"Rows by verdict: restored, skipped, impossible, open, nothing" json:"counts"`
	Others []OtherRow          `doc:"The first ten rows that were not restored"                     json:"others" nullable:"false"`
}

// OtherRow is a row that an undo did not restore.
type OtherRow struct {
	Row     int         `doc:"Number in the run that was undone" json:"row"`
	Line    int         `doc:"Line of the file"                  json:"line,omitzero"`
	Verdict run.Verdict `enum:"skipped,impossible,open"          json:"verdict"`
	Why     string      `json:"why,omitzero"`
	At      time.Time   `json:"at,omitzero"`
}
