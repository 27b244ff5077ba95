package ledger

// Entry is what docs/ledger.md has of an entry of a target's hash.
type Entry struct{ Name, Lua, Means, Writes, Reads string }

// Layout is the table of layout.go.
func Layout() []Entry {
	var entries []Entry
	for _, e := range layout {
		entries = append(entries, Entry{e.name, e.lua, e.means, e.writes, e.reads})
	}
	return entries
}

// ReadDetail reads an entry of the details of rows.
var ReadDetail = readDetail
