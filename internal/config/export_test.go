package config

// What the page and the schema are made of.
type Key = key

func (k key) Path() string    { return k.path }
func (k key) Required() bool  { return k.required }
func (k key) One() string     { return k.one }
func (k key) Default() string { return k.def }
func (k key) Enum() []string  { return k.enum }
func (k key) Pattern() string { return k.pattern }
func (k key) Min() int        { return k.min }
func (k key) Max() int        { return k.max }
func (k key) Doc() string     { return k.doc }
func (k key) Example() string { return k.eg }

// Keys is the table in its order.
func Keys() []Key { return keys }

// Find returns the row of a path.
func Find(path string) Key { return find(path) }

// DurationPattern is what a schema can check of a length of time.
const DurationPattern = durationPattern
