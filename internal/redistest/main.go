package redistest

import (
	"flag"
	"fmt"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"
)

// parallel is how many tests of a package run at a time, however few cores there
// are: they wait most of their time.
const parallel = "8"

// Main is the TestMain of a package whose tests use a Redis. It fails when they
// leave a goroutine behind.
func Main(m goleak.TestingM) {
	Prepare()
	goleak.VerifyTestMain(m, Dials())
}

// Prepare is for a TestMain that does more, before anything else. Eight tests run at
// a time unless the command line says otherwise, and go-redis logs nothing by itself:
// connections that tests cut, each master that a Sentinel names.
func Prepare() {
	redis.SetLogger(&logging.VoidLogger{})
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(fmt.Sprintf("redistest: set how many tests run at a time: %v", err))
	}
}
