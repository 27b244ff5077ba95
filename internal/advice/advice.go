// Package advice translates the advice of classes and platforms. It is apart from
// outcome, which every producer links.
package advice

import (
	"embed"
	"fmt"
	"maps"
	"sync"

	"go.yaml.in/yaml/v4"
)

// Chinese returns an advice in Chinese: of a class, or of a platform's code. An advice
// that has no translation stays English.
func Chinese(text string) string {
	if zh, ok := translations()[text]; ok {
		return zh
	}
	return text
}

// Each file maps advices to their translations. A test compares all of them with the tables
// of the platforms and of the classes.
//
//go:embed *.yaml
var files embed.FS

var translations = sync.OnceValue(func() map[string]string {
	all, err := readTranslations()
	if err != nil { // embedded, and read by a test
		panic(fmt.Sprintf("translations of advice: %v; this is a fault of rollcall: report it", err))
	}
	return all
})

func readTranslations() (map[string]string, error) {
	all := map[string]string{}
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		text, err := files.ReadFile(entry.Name())
		if err != nil {
			return nil, err
		}
		of := map[string]string{}
		if err := yaml.Load(text, &of); err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name(), err)
		}
		maps.Copy(all, of)
	}
	return all, nil
}
