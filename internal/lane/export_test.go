package lane

// Room is how many tasks may wait for their slot, and how many the lane may be
// at altogether.
func (l *Lane) Room() (waiting, together int) { return l.room() }
