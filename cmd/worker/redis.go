package main

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/config"
	"rollcall/internal/enqueue"
	"rollcall/internal/exitcode"
	"rollcall/internal/redisdb"
	"rollcall/internal/redisdb/embedded"
	"rollcall/internal/secret"
)

func (w *worker) openRedis() error {
	w.redis = redisConfig(w.cfg.Redis)
	w.password.Store(&w.cfg.Redis.Password.Value)
	if w.cfg.Redis.Embedded != "" {
		server, err := embedded.Start(w.cfg.Redis.Embedded)
		if err != nil {
			return err
		}
		w.onClose(server.Close)
		aging, stop := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { server.Age(aging) })
		w.onClose(func() { stop(); wg.Wait() })
		w.redis.URL = secret.New(server.URL())
		w.log.Warn("embedded Redis loses its data at exit: for trials only", "redis", server.URL())
	}
	var err error
	if w.rdb, err = w.newClient("rollcall-worker"); err != nil {
		return err
	}
	w.onClose(func() { _ = w.rdb.Close() })
	return nil
}

func (w *worker) newClient(name string) (redis.UniversalClient, error) {
	options, err := w.options(name)
	if err != nil {
		return nil, err
	}
	return redisdb.New(options), nil
}

func (w *worker) newProducer(name string, cfg enqueue.Config) (producer *enqueue.Client, err error) {
	if cfg.Redis, err = w.options(name); err != nil {
		return nil, err
	}
	return enqueue.New(cfg)
}

// options returns the options of a client of the worker's Redis. Each new connection logs
// in with the latest loaded password.
func (w *worker) options(name string) (*redis.UniversalOptions, error) {
	named := w.redis
	named.ClientName = name
	options, err := named.Options()
	if err != nil {
		return nil, exitcode.AsConfig(err)
	}
	if w.cfg.Redis.Embedded == "" {
		options.CredentialsProvider = func() (string, string) { return options.Username, w.password.Load().Reveal() }
	}
	return options, nil
}

// redisConfig converts the configuration to that of redisdb.
func redisConfig(r config.Redis) redisdb.Config {
	cfg := redisdb.Config{Username: r.Username, Password: r.Password.Value}
	switch {
	case r.Sentinel != nil:
		cfg.Sentinel = redisdb.Sentinel{
			Master: r.Sentinel.Master, Addresses: r.Sentinel.Addresses,
			Username: r.Sentinel.Username, Password: r.Sentinel.Password.Value,
		}
	case r.Cluster != nil:
		cfg.Cluster = redisdb.Cluster{Addresses: r.Cluster.Addresses}
	case r.URL != "":
		cfg.URL = secret.New(r.URL)
	}
	if t := r.TLS; t != nil {
		cfg.TLS = &redisdb.TLS{CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName}
	}
	return cfg
}

// redisName names the Redis of a configuration in the log.
func redisName(r config.Redis) string {
	switch {
	case r.Sentinel != nil:
		return "master " + r.Sentinel.Master + " behind Sentinel"
	case r.Cluster != nil:
		return "a Cluster"
	case r.Embedded != "":
		return "embedded"
	}
	return r.URL
}
