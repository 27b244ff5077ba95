package providers

import "time"

// Code is one row of a platform's table of answers: what an answer means and
// what a person should do about it.
type Code struct {
	// HTTP holds the statuses that the row is about, blank-separated: "400 500"
	// or a class such as "5xx". Empty: any status.
	HTTP string
	// Code is the platform's own code. A star at either end stands for any
	// characters, "*" alone for any code; empty means an answer without one.
	Code  string
	Kind  Kind
	Scope Scope
	// Tries bounds the attempts that the answer is worth. 0: the Kind's own bound.
	Tries int
	// Period is the length of the rate window that was exceeded. Where it is
	// known, it tells how long to wait, and there is no Wait.
	Period time.Duration
	// Wait is how long to leave the platform alone if it does not say so itself.
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

// Table is a named part of a platform's answers. The first row that fits an
// answer is the one that counts.
type Table struct {
	Name  string
	Codes []Code
}
