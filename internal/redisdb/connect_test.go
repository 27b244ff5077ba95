package redisdb_test

import (
	"strings"
	"testing"

	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
)

// A hosted Redis or its proxy may refuse CLIENT SETNAME, and so may the permissions of
// an ACL user.
func TestARedisThatRefusesClientNamesWorks(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]string{"SETNAME is refused": "-client|setname", "CLIENT and HELLO are refused": "-client -hello"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Real(t)
			rule := append([]any{"acl", "setuser", "someone", "on", ">secret", "~*", "&*", "+@all"}, fields(rule)...)
			if err := s.Client(t).Do(t.Context(), rule...).Err(); err != nil {
				t.Fatal(err)
			}
			client, err := redisdb.Config{URL: secretText("redis://someone:secret@" + s.Addr), ClientName: "rollcall-test"}.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if err := client.Set(t.Context(), "key", "value", 0).Err(); err != nil {
				t.Error(err)
			}
			subscription := client.Subscribe(t.Context(), "channel")
			defer subscription.Close()
			if _, err := subscription.Receive(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConnectionsSetTheirClientName(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		d.Set(t, redistest.User, "+client|getname") // of this test
		options, err := redisdb.Config{URL: secretText(d.URL), ClientName: "rollcall-test"}.Options()
		if err != nil {
			t.Fatal(err)
		}
		client := redisdb.New(options)
		defer client.Close()
		if name, err := client.Do(t.Context(), "client", "getname").Text(); name != "rollcall-test" || err != nil {
			t.Errorf("the name is %q, %v", name, err)
		}
		if options.ClientName != "rollcall-test" || !strings.Contains(options.ClientName, "rollcall") {
			t.Error("the caller's options have changed")
		}
	})
}
