package wire

import (
	"time"
)

// Direct are tasks that were enqueued directly under the name of a run.
type Direct struct {
	Run     string         `doc:"Their name"                                                         json:"run"`
	Lane    string         `doc:"Of a part"                                                          json:"lane,omitzero"`
	Lanes   []string       `doc:"Of a list"                                                          json:"lanes,omitempty"     nullable:"false"`
	Began   time.Time      `doc:"When the first was stored"                                          json:"began"`
	Rows    int            `doc:"How many"                                                           json:"rows"`
	Results map[string]int `doc:"By result: open, dead, applied, unchanged, superseded, settled"     json:"results"`
	Open    []int          `doc:"Numbers of open ones; of a part alone"                              json:"open_rows,omitempty" nullable:"false"`
	Dead    []int          `doc:"Numbers of those that have, or had, a dead letter; of a part alone" json:"dead_rows,omitempty" nullable:"false"`
}

// Directs are names under which tasks were enqueued directly, or the parts of one.
type Directs struct {
	Direct []Direct `json:"direct" nullable:"false"`
}
