package ui

import (
	"fmt"
	"strings"

	"rollcall/internal/overview"
)

// spark is a small graph of the rate used, and of the rate allowed, over the last ten minutes.
type spark struct {
	Path    string  // of the rate used; empty: no samples
	Allowed float64 // height of the allowed rate
}

const (
	sparkWidth, sparkHeight = 120, 28
	// sparkPoints is how many samples fill the width.
	sparkPoints = 60
)

// sparkOf draws samples; the newest is at the right.
func sparkOf(samples []overview.Sample) spark {
	if len(samples) < 2 {
		return spark{}
	}
	most := 0.0
	for _, s := range samples {
		most = max(most, s.Used, s.Allowed)
	}
	if most <= 0 {
		return spark{}
	}
	height := func(rate float64) float64 { return sparkHeight - 2 - rate/most*(sparkHeight-4) }
	var path strings.Builder
	for i, s := range samples {
		x := float64(sparkWidth) * (1 - float64(len(samples)-1-i)/(sparkPoints-1))
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", command, x, height(s.Used))
	}
	return spark{Path: path.String(), Allowed: height(samples[len(samples)-1].Allowed)}
}
