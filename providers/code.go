package providers

import "time"

// Code is one row of a platform's table of answers: what an answer means and what a
// person should do about it.
type Code struct {
	// HTTP is the statuses of the row, separated by blanks: "400 500" or a class such
	// as "5xx". Empty: any status.
	HTTP string
	// Code is the platform's code. A star at either end matches any characters, "*"
	// alone any code; empty means an answer without a code.
	Code  string
	Kind  Kind
	Scope Scope
	// Tries bounds the attempts that the answer is worth. 0: the Kind's own bound.
	Tries int
	// Period is the length of the exceeded rate window. If it is set, it determines the
	// wait, and there is no Wait.
	Period time.Duration
	// Wait is how long to pause if the platform does not give a time itself.
	Wait time.Duration
	// Daily means that the wait ends with the platform's day, 00:00 in Beijing.
	Daily bool
	// Quick means that a client may try again at once, twice at the most.
	Quick bool
	// Unmetered means that the platform does not count a request that it answers
	// so against the month.
	Unmetered bool
	Meaning   string
	Fix       string
	Doc       string // the vendor's page; empty where the row is our own judgement
}

// Table is a named part of a platform's answers. The first row that fits an answer
// applies.
type Table struct {
	Name  string
	Codes []Code
}

// Rows returns the rows of all tables in one list.
func Rows(tables []Table) []Code {
	var all []Code
	for _, t := range tables {
		all = append(all, t.Codes...)
	}
	return all
}
