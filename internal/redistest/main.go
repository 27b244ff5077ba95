package redistest

import (
	"flag"
	"fmt"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"
)

// parallel is how many tests of a package run concurrently, on any number of cores:
// they spend most of the time waiting.
const parallel = "8"

// Main is the TestMain of a package whose tests use a Redis. It fails if they leave a
// goroutine running.
func Main(m goleak.TestingM) {
	Prepare()
	goleak.VerifyTestMain(m, Dials())
}

// Prepare is for a TestMain with more steps; call it first. Eight tests run
// concurrently unless the command line sets another number. go-redis logs nothing:
// otherwise it would log connections that tests close, and each master that a Sentinel
// reports.
func Prepare() {
	redis.SetLogger(&logging.VoidLogger{})
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(fmt.Sprintf("redistest: set the number of concurrent tests: %v", err))
	}
}
