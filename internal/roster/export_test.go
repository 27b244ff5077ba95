package roster

import "fmt"

// String returns "line 7: column user_id: is missing", without the value.
func (p Problem) String() string {
	position := "the row"
	if p.Column != "" {
		position = "column " + p.Column
	}
	return fmt.Sprintf("line %d: %s: %s", p.Line, position, p.What)
}
