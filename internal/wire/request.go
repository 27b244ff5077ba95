package wire

// Added is how many rows a run has.
type Added struct {
	RowsIn int `doc:"Rows that the run has: the next part begins there" json:"rows_in"`
	Read   int `doc:"Rows of this body"                                 json:"read"`
	// Ignored are columns that are not known.
	Ignored []string `doc:"Columns of the body that are not known" json:"ignored_columns,omitempty" nullable:"false"`
}

// Seal is the body of the request that ends an upload.
type Seal struct {
	Rows int `doc:"Number of rows that the run must have" json:"rows" maximum:"1000000" minimum:"0"`
}

// Digest is the body of a request that applies a plan.
type Digest struct {
	Digest string `doc:"Of the plan that was read; its first eight characters suffice" json:"digest" maxLength:"64" minLength:"8"`
}

// Why is the body of a request that a person gives a reason for.
type Why struct {
	Reason string `doc:"For the people who see the run" json:"reason,omitzero" maxLength:"500"`
}

// Exclusion is the body of a request that leaves rows out of a plan.
type Exclusion struct {
	Digest string `doc:"Of the plan that was read"             json:"digest" maxLength:"64"   minLength:"8"`
	Rows   []int  `doc:"Numbers of the rows that are left out" json:"rows"   maxItems:"10000" minItems:"1"  nullable:"false"`
}

// Allowance is the body of a request that accepts what guards found.
type Allowance struct {
	Allow []string `doc:"Guards that do not hold the run any more" enum:"allow-changes,allow-suspicious,allow-lost-chinese,allow-equal-names,allow-over-quota,prune,allow-id-changes" json:"allow" maxItems:"20" minItems:"1" nullable:"false"`
}

// Stored is the answer to one task.
type Stored struct {
	Outcome  string `doc:"stored: it is in the queue. already_there: an earlier request with the same key stored it. outdated: the source has sent a higher number, and nothing is left to do." enum:"stored,already_there,outdated" json:"outcome"`
	TaskID   string `doc:"Id of the task in asynq"                                                                                                                                              json:"task_id,omitzero"`
	Queue    string `json:"queue,omitzero"`
	Revision int64  `doc:"Orders the changes of a target: the highest wins. Missing if an earlier request stored the task."                                                                     json:"revision,omitzero"`
	Warning  string `doc:"What was lost, which costs at most one call"                                                                                                                          json:"warning,omitzero"`
}
