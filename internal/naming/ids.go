package naming

import (
	"fmt"
	"strconv"
	"strings"
)

// The form of a DingTalk ID: 6 to 20 letters and digits.
const (
	minID     = 6
	maxID     = 20
	maxIDBase = maxID - 4 // room for a number
	maxNumber = 9999
)

// candidate returns the ID of a number, from 1: zhangwei, zhangwei2, zhangwei3. A short base
// has numbers from the first on, with as many digits as an ID needs: wuyi01, wuyi02.
func candidate(base string, number int) string {
	if number == 1 && len(base) >= minID {
		return base
	}
	digits := strconv.Itoa(number)
	if lack := minID - len(base) - len(digits); lack > 0 {
		digits = strings.Repeat("0", lack) + digits
	}
	return base + digits
}

// numberOf returns the number of an ID of this base; 0: it is of another.
func numberOf(id, base string) int {
	digits, ok := strings.CutPrefix(id, base)
	switch {
	case !ok:
		return 0
	case digits == "":
		digits = "1"
	}
	number, err := strconv.Atoi(digits)
	if err != nil || number < 1 || number > maxNumber || candidate(base, number) != id {
		return 0
	}
	return number
}

// idPlan is the plan of one person's ID.
type idPlan struct {
	slot         slot
	id           string // empty: there is none left
	kept         bool   // the person has it already
	after        *idPlan
	swap         bool
	alternatives []string
}

// idPlanner gives out IDs.
type idPlanner struct {
	plans   []*idPlan          // by person
	of      map[string]*idPlan // by person
	held    map[string]string  // ID → person
	claimed map[string]bool
	next    map[string]int // base → the first number that may be free
}

// planIDs gives everyone an ID, each ID to one person. Slots are sorted by person.
func (a *application) planIDs() {
	p := &idPlanner{of: map[string]*idPlan{}, held: a.held, claimed: map[string]bool{}, next: map[string]int{}}
	for _, s := range a.slots {
		plan := &idPlan{slot: s}
		p.plans = append(p.plans, plan)
		p.of[s.person] = plan
	}
	for _, plan := range p.plans {
		had := strings.ToLower(a.had(plan.slot.person, ""))
		if numberOf(had, plan.slot.base) > 0 && p.held[had] == plan.slot.person {
			plan.id, plan.kept = had, true
			p.claimed[had] = true
		}
	}
	for _, plan := range p.plans {
		if !plan.kept {
			p.choose(plan, true)
		}
	}
	for _, plan := range p.plans {
		if plan.after != nil && plan.after.id == "" { // its owner finds no other
			delete(p.claimed, plan.id)
			p.choose(plan, false)
		}
	}
	p.breakCircles()
	for _, plan := range p.plans {
		if !plan.kept && plan.after == nil && plan.id != "" {
			p.addAlternatives(plan, a.rule.spec.Alternatives)
		}
	}
	a.emit(p.plans)
}

// choose gives a person the first ID that no one else is planned to have. handedOn allows one
// whose owner gets another.
func (p *idPlanner) choose(plan *idPlan, handedOn bool) {
	plan.id, plan.after = "", nil
	base := plan.slot.base
	for number := max(p.next[base], 1); number <= maxNumber; number++ {
		id := candidate(base, number)
		if p.claimed[id] {
			continue
		}
		owner, taken := p.held[id]
		if taken && (!handedOn || !p.leaves(owner)) {
			continue
		}
		if taken {
			plan.after = p.of[owner]
		}
		plan.id = id
		p.claimed[id] = true
		p.next[base] = number + 1
		return
	}
	p.next[base] = maxNumber + 1
}

// leaves reports whether a person gets another ID than they have.
func (p *idPlanner) leaves(person string) bool {
	plan, planned := p.of[person]
	return planned && !plan.kept
}

// breakCircles gives numbered IDs to one person of each circle of people who would have to
// exchange their IDs: each waits for at most one other.
func (p *idPlanner) breakCircles() {
	done := map[*idPlan]bool{}
	for _, start := range p.plans {
		path := map[*idPlan]bool{}
		plan := start
		for plan != nil && !done[plan] && !path[plan] {
			path[plan] = true
			plan = plan.after
		}
		if plan != nil && path[plan] { // people are sorted: the first of the circle by id is chosen
			first := plan
			for on := plan.after; on != plan; on = on.after {
				if on.slot.person < first.slot.person {
					first = on
				}
			}
			first.swap = true
			delete(p.claimed, first.id)
			p.choose(first, false)
		}
		for on := range path {
			done[on] = true
		}
	}
}

// addAlternatives plans further IDs, which no one else has or is planned to have.
func (p *idPlanner) addAlternatives(plan *idPlan, most int) {
	base := plan.slot.base
	for number := max(p.next[base], 1); number <= maxNumber && len(plan.alternatives) < most; number++ {
		id := candidate(base, number)
		if _, taken := p.held[id]; taken || p.claimed[id] {
			continue
		}
		p.claimed[id] = true
		p.next[base] = number + 1
		plan.alternatives = append(plan.alternatives, id)
	}
}

// emit adds the plans to the result, each after the one that it waits for.
func (a *application) emit(plans []*idPlan) {
	waiting := map[*idPlan]*idPlan{} // who waits for a person: one, as each ID is planned once
	for _, plan := range plans {
		if plan.after != nil {
			waiting[plan.after] = plan
		}
	}
	for _, plan := range plans {
		if plan.after != nil {
			continue
		}
		for ; plan != nil; plan = waiting[plan] {
			a.emitOne(plan)
		}
	}
}

func (a *application) emitOne(plan *idPlan) {
	if plan.id == "" {
		a.problem(plan.slot.row, plan.slot.person, fmt.Sprintf("there are more than %d people with this ID: make the template longer", maxNumber))
		return
	}
	n := Named{
		Row: plan.slot.row, Person: plan.slot.person, Value: plan.id, Alternatives: plan.alternatives, Swapped: plan.swap,
	}
	if plan.after != nil {
		n.After = plan.after.slot.person
	}
	a.result.Named = append(a.result.Named, n)
}
