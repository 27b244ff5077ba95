// Package wire is the JSON of the HTTP API that its server writes and the client of the
// commands reads, and what it is in the types of the services.
//
// It must not know who may see what: the server masks people before.
package wire

// each returns what to makes of each of some values.
func each[A, B any](all []A, to func(A) B) []B {
	var made []B
	for _, one := range all {
		made = append(made, to(one))
	}
	return made
}
