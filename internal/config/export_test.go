package config

// Exports for the tests of the page and the schema.
type Key = key

func (k key) Path() string    { return k.path }
func (k key) Required() bool  { return k.required }
func (k key) One() string     { return k.one }
func (k key) Default() string { return k.def }
func (k key) Enum() []string  { return k.enum }
func (k key) Pattern() string { return k.form.pattern }
func (k key) Min() int        { return k.min }
func (k key) Max() int        { return k.max }
func (k key) Doc() string     { return k.doc }
func (k key) Example() string { return k.eg }

// Keys returns the table in its order.
func Keys() []Key { return keys }

// Find returns the row of a path.
func Find(path string) Key { return find(path) }

// DurationPattern is the part of a duration's form that a schema can check.
const DurationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`
