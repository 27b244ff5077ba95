// Package secret holds one type: a text that no log, error, page or payload
// ever shows. It must not know where secrets come from; internal/config does.
package secret

import "log/slog"

const redacted = "[redacted]"

// Text is a secret. Every way of printing it yields "[redacted]"; Reveal alone
// gives the value. The zero value is the empty secret and prints the same.
//
// The value sits behind a pointer because fmt cannot call String on a field
// that its owner keeps unexported: it would print the struct's contents.
type Text struct{ value *string }

// New wraps a value.
func New(value string) Text { return Text{value: &value} }

// Reveal returns the value. Call it only where it goes onto the wire.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// IsZero reports whether the secret is empty.
func (t Text) IsZero() bool { return t.Reveal() == "" }

// String implements fmt.Stringer.
func (Text) String() string { return redacted }

// GoString implements fmt.GoStringer, for %#v.
func (Text) GoString() string { return redacted }

// MarshalText implements encoding.TextMarshaler, for JSON and YAML.
func (Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (Text) LogValue() slog.Value { return slog.StringValue(redacted) }
