package enqueue_test

import (
	"bytes"
	"sync"

	"rollcall/internal/redistest"
)

// faults applies a list of faults, one for each request that contains all of the marks,
// and lets everything else pass.
type faults struct {
	marks []string
	mu    sync.Mutex
	todo  []redistest.Fault
	met   int // requests with the marks, faulty or not
}

func (f *faults) judge(request []byte) redistest.Fault {
	for _, m := range f.marks {
		if !bytes.Contains(request, []byte(m)) {
			return redistest.Pass
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.met++
	if len(f.todo) == 0 {
		return redistest.Pass
	}
	next := f.todo[0]
	f.todo = f.todo[1:]
	return next
}

func (f *faults) left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.todo)
}
