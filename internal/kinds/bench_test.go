package kinds_test

import (
	"testing"

	"rollcall/internal/kinds"
)

func BenchmarkEncode(b *testing.B) {
	for name, task := range samples() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := kinds.Encode(task, revision); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, task := range samples() {
		typename, payload, err := kinds.Encode(task, revision)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := kinds.Decode(typename, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
