// Package rollcall holds no code: only the house rules, as tests (arch_test.go).
package rollcall
