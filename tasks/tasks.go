// Package tasks defines what a producer asks rollcall for: the kinds of task, the
// options of a request and its result. Package producer stores them.
//
// It must not know any platform's API, how a task is stored or how it is executed.
package tasks

import (
	"fmt"
	"reflect"
	"strings"
)

// Kind names one sort of work. It is also the last part of a lane's name. Its values are
// stored in Redis and used in configurations.
type Kind string

// Task is a type of this package such as [NicknameSync], by value. A pointer is refused.
type Task interface {
	// Validate returns a [*ValidationError] that lists every problem, or nil.
	Validate(Limits) error
	// Lane returns the tenant and the kind of the task. Together they name the
	// lane that executes it.
	Lane() (tenant string, kind Kind)

	task()
}

const tenantLetters = "abcdefghijklmnopqrstuvwxyz0123456789-"

// ValidTenant reports whether name can name a tenant: 1 to 39 of a-z, 0-9 and
// "-", not beginning with "-". A dot would make queue names ambiguous.
func ValidTenant(name string) bool {
	return name != "" && len(name) <= 39 && name[0] != '-' && strings.Trim(name, tenantLetters) == ""
}

func checkTask(task Task) error {
	if task == nil || reflect.TypeOf(task).Kind() != reflect.Struct {
		return fmt.Errorf("%T is not a task: pass one of the types of this package by value, such as NicknameSync", task)
	}
	return nil
}
