package providers_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"rollcall/providers"
)

// An error is one line: platform, call, kind, code and reason.
func TestAnErrorIsOneLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  providers.Error
		want string
	}{
		{
			providers.Error{Platform: "dingtalk", API: "updategroupnick", Kind: providers.Transient, Code: "400001", HTTPStatus: 200, Message: "try later", RequestID: "r-1"},
			"dingtalk updategroupnick: transient: 400001: try later [request r-1]",
		},
		{
			providers.Error{Platform: "classin", API: "modifyGroupMemberNickname", Kind: providers.Throttled, HTTPStatus: 403},
			"classin modifyGroupMemberNickname: throttled: HTTP 403",
		},
		{
			providers.Error{Platform: "dingtalk", API: "group/update", Kind: providers.Unsent, Err: context.Canceled},
			"dingtalk group/update: unsent: context canceled",
		},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// The kind is found through any error that a caller wrapped around it. A foreign error
// has none.
func TestKindOf(t *testing.T) {
	t.Parallel()
	wrapped := fmt.Errorf("task 7: %w", &providers.Error{Kind: providers.Rejected, Err: context.Canceled})
	if providers.KindOf(wrapped) != providers.Rejected || !errors.Is(wrapped, context.Canceled) {
		t.Errorf("%v is %v", wrapped, providers.KindOf(wrapped))
	}
	if got := providers.KindOf(errors.New("else")); got != providers.Unknown {
		t.Errorf("a stranger's error is %v", got)
	}
}

// Kinds and scopes have names of their own, and numbers outside the list do
// not pass for one.
func TestNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, kind := range providers.Kinds() {
		if seen[kind.String()] || kind.String() == "" {
			t.Errorf("kind %d is called %q", kind, kind)
		}
		seen[kind.String()] = true
	}
	if providers.Kind(99).String() != "kind(99)" || providers.Scope(99).String() != "scope(99)" || providers.ScopeOrganisation.String() != "organisation" {
		t.Error("names are wrong outside the list")
	}
}
