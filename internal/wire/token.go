package wire

import (
	"rollcall/tasks"
)

// Token is what the token of a request may do.
type Token struct {
	API     string   `doc:"Version of the API"                  example:"1.1.0"          json:"api"`
	Name    string   `json:"name"`
	Scopes  []string `enum:"enqueue,read,operate,approve,names" json:"scopes"            nullable:"false"`
	Tenants []string `doc:"Missing: all"                        json:"tenants,omitempty" nullable:"false"`
}

// Served are the tasks that can be enqueued now.
type Served struct {
	Served []ServedLane `json:"served" nullable:"false"`
}

// ServedLane is a tenant and a kind that a worker serves.
type ServedLane struct {
	Tenant      string     `json:"tenant"`
	Kind        tasks.Kind `json:"kind"`
	NicknameMax int        `doc:"Longest nickname, in characters; missing: 30" json:"nickname_max,omitzero"`
}
