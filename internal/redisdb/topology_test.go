package redisdb_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
)

func TestOneConstructorReachesEveryTopology(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		client, err := redisdb.Open(d.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		ctx := t.Context()
		// Enough keys for every node of a Cluster to hold some.
		for key := range strings.FieldsSeq("a b c d e f g h i j k l") {
			if err := client.Set(ctx, "rollcall:{"+key+"}", key, 0).Err(); err != nil {
				t.Fatal(err)
			}
			if got := d.Client(t).Get(ctx, "rollcall:{"+key+"}").Val(); got != key {
				t.Errorf("another client reads %q, want %q", got, key)
			}
		}
		if d.Name == "single" {
			return
		}
		d.FailOver(t, "rollcall:{a}")
		// The client was idle while the master died: go-redis alone would ask the
		// dead one for up to a minute.
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		if err := client.Set(ctx, "rollcall:{a}", "again", 0).Err(); err != nil {
			t.Errorf("the first write after the failover: %v", err)
		}
	})
}

func TestTLSIsVerifiedBothWays(t *testing.T) {
	t.Parallel()
	d, files := redistest.TLS(t)
	ping := func(c redisdb.Config) error {
		client, err := c.Open()
		if err != nil {
			return err
		}
		defer client.Close()
		return client.Ping(t.Context()).Err()
	}
	plain := "rediss://" + d.Options().Addrs[0] + "/0"
	full := redisdb.TLS{CA: files.CA, Cert: files.Cert, Key: files.Key, ServerName: redistest.ServerName}
	config := func(change func(*redisdb.TLS)) redisdb.Config {
		tls := full
		change(&tls)
		return redisdb.Config{URL: secretText(plain), Username: redistest.User, Password: secretText(redistest.Password), TLS: &tls}
	}
	if err := ping(config(func(*redisdb.TLS) {})); err != nil {
		t.Errorf("all is given: %v", err)
	}
	if err := ping(redisdb.Config{URL: secretText(d.URL)}); err != nil {
		t.Errorf("all is in the URL: %v", err)
	}
	if err := ping(redisdb.Config{URL: secretText(strings.Replace(d.URL, "rediss:", "redis:", 1))}); err == nil || !strings.Contains(err.Error(), "begin the address with rediss") {
		t.Errorf("TLS options without TLS: %v", err)
	}
	withTLSAlone := config(func(*redisdb.TLS) {})
	withTLSAlone.URL = secretText(strings.Replace(plain, "rediss:", "redis:", 1))
	if err := ping(withTLSAlone); err != nil {
		t.Errorf("Config.TLS with a redis:// URL means TLS: %v", err)
	}
	for name, row := range map[string]struct {
		change func(*redisdb.TLS)
		want   string
	}{
		"an authority that nobody knows": {func(tls *redisdb.TLS) { tls.CA = "" }, "unknown authority"},
		"another name":                   {func(tls *redisdb.TLS) { tls.ServerName = "elsewhere.example" }, "not elsewhere.example"},
		"the name that is dialled":       {func(tls *redisdb.TLS) { tls.ServerName = "" }, "127.0.0.1"},
		"no certificate of ours":         {func(tls *redisdb.TLS) { tls.Cert, tls.Key = "", "" }, ""},
		"a key without a certificate":    {func(tls *redisdb.TLS) { tls.Cert = "" }, "cert and key belong together"},
		"a CA that is not there":         {func(tls *redisdb.TLS) { tls.CA += "x" }, "redis: tls: ca: open "},
		"a CA that is none":              {func(tls *redisdb.TLS) { tls.CA = files.Key }, "holds no certificate in PEM form"},
		"a key that is none":             {func(tls *redisdb.TLS) { tls.Key = files.CA }, "redis: tls: cert "},
	} {
		if err := ping(config(row.change)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, row.want)
		}
	}
}

func TestSentinelAndClusterAreNamedByFieldsToo(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		o := d.Options()
		config := redisdb.Config{Username: redistest.User, Password: secretText(redistest.Password), ClientName: "by-fields"}
		switch d.Name {
		case "sentinel":
			config.Sentinel = redisdb.Sentinel{Master: o.MasterName, Addresses: o.Addrs[:1], Password: secretText(redistest.SentinelPassword)}
		case "cluster":
			config.Cluster.Addresses = o.Addrs[:1] // the others are learned
		default:
			config.URL = secretText("redis://nobody:wrong@" + o.Addrs[0])
		}
		client, err := config.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for key := range strings.FieldsSeq("a b c d e f") {
			if err := client.Set(t.Context(), "rollcall:{"+key+"}", key, 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if got := client.Do(t.Context(), "client", "getname").Val(); got != "by-fields" {
			t.Errorf("the connection is called %v", got)
		}
	})
}
