package access

// Remembered is how many addresses are remembered.
func Remembered(g *Guesses) int { return len(g.free) }
