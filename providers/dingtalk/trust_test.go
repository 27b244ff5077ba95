package dingtalk_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"rollcall/providers"
	"rollcall/providers/dingtalk"
)

// changeID is a call of another API with the same token.
func (a *authority) changeID() error {
	_, err := a.ChangeID(context.Background(), free, dingtalk.IDChange{UserID: "u", DingTalkID: "abc123"})
	return err
}

// A token with which other calls succeed is refused, and the fresh one once more: the
// credentials are still valid.
func TestATokenThatCallsSucceedWithIsNotRefusedCredentials(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.mustRename(t, 1)
	a.give = func(n int) (int, string) { // the same token twice, then another for good
		return 200, fmt.Sprintf(`{"accessToken":"%s%d","expireIn":7200}`, token, 1+min(n/4, 1))
	}
	var refused atomic.Bool
	a.valid = func(string) bool { return !refused.Load() }
	for n := range 20 {
		refused.Store(true)
		_, err := a.rename(t.Context())
		refused.Store(false)
		// The only refusal of a token that is new here comes before any success.
		if want := providers.Transient; providers.KindOf(err) != want && a.asked.Load() != 4 {
			t.Fatalf("round %d: %v, want %v", n, err, want)
		}
		if err := a.changeID(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.rename(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestATokenThatNoCallSucceededWithIsRefusedCredentials(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.mustRename(t, 1)
	a.valid = func(string) bool { return false } // the next token too, which is another
	for range 2 {
		if _, err := a.rename(t.Context()); providers.KindOf(err) != providers.Misconfigured {
			t.Errorf("%v, want misconfigured", err)
		}
	}
}

// An API that refuses a token which others accept is held alone, and only after several
// refusals in a row.
func TestAnAPIThatRefusesAGoodTokenIsHeldAlone(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.give = func(int) (int, string) { return 200, `{"accessToken":"` + token + `1","expireIn":7200}` }
	if err := a.changeID(); err != nil {
		t.Fatal(err)
	}
	a.valid = func(string) bool { return false }
	for n := 1; n <= 6; n++ {
		_, err := a.rename(t.Context())
		want, scope := providers.Transient, providers.ScopeTask
		if n >= 5 {
			want, scope = providers.Misconfigured, providers.ScopeLane
		}
		if e := errorOf(t, err); e.Kind != want || e.Scope != scope || e.MaybeApplied {
			t.Errorf("refusal %d: %v of the %v, maybe applied %v; want %v of the %v", n, e, e.Scope, e.MaybeApplied, want, scope)
		}
	}
}

func errorOf(t *testing.T, err error) *providers.Error {
	t.Helper()
	e, ok := errors.AsType[*providers.Error](err)
	if !ok {
		t.Fatalf("%v is no *providers.Error", err)
	}
	return e
}

// Many calls whose token is refused at the same time request one new token, whether the
// platform returns another or the same.
func TestConcurrentlyRefusedCallsRequestOneToken(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]string{"another": "2", "the same": "1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const calls = 40
			a := newAuthority(t)
			a.mustRename(t, 1)
			var sent atomic.Int64
			all, asked := make(chan struct{}), make(chan struct{})
			a.give = func(int) (int, string) {
				close(asked)
				return 200, fmt.Sprintf(`{"accessToken":"%s%s","expireIn":7200}`, token, second)
			}
			a.valid = func(string) bool {
				n := sent.Add(1)
				if n > calls {
					return true
				}
				if n == calls {
					close(all)
				}
				<-all
				if n%2 == 0 {
					<-asked // half of them are refused after the new token was asked for
				}
				return false
			}
			var running sync.WaitGroup
			for range calls {
				running.Go(func() {
					_, err := a.rename(t.Context())
					if kind := providers.KindOf(err); err != nil && kind != providers.Transient {
						t.Errorf("%v", err)
					}
				})
			}
			running.Wait()
			if asked := a.asked.Load(); asked != 2 {
				t.Errorf("%d token requests, want 2", asked)
			}
		})
	}
}
