package main

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheRulesAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/chaos.md")
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?s)\n## What is checked\n(.*?)\n## `).Find(page)
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^- `([^`]+)`:").FindAllSubmatch(section, -1) {
		documented = append(documented, string(row[1]))
	}
	code := []string{
		ruleLost, ruleLimbo, ruleOrder, ruleValue, ruleStrange, ruleMember, ruleSecondID, ruleEffectID, ruleDeadLetter,
		ruleOverlap, rulePlan, ruleWorker, ruleHold, ruleDrain, ruleResent,
		ruleUnnamed, ruleUnrepaired, rulePace, ruleRun, ruleStopped, ruleConflict,
	}
	slices.Sort(code)
	slices.Sort(documented)
	if diff := cmp.Diff(code, documented); diff != "" {
		t.Errorf("docs/chaos.md and the rules differ (-code +page):\n%s", diff)
	}
}
