package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/tasks"
)

// apiPeerArgument makes the bench the peer's process of the figures of the API.
const apiPeerArgument = "peer-api"

// apiPeerSpec is what that process needs.
type apiPeerSpec struct {
	Redis    string `json:"redis"`
	Platform string `json:"platform"`
	Listen   string `json:"listen"`
}

// runAPIPeer is what a user would write: a handler that calls Enqueue, and an asynq server
// whose handler makes the call. It serves until it is killed.
func runAPIPeer(said string) error {
	var spec apiPeerSpec
	if err := json.Unmarshal([]byte(said), &spec); err != nil {
		return err
	}
	redis := asynq.RedisClientOpt{Addr: spec.Redis}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.MaxIdleConnsPerHost = concurrency
	client := &http.Client{Transport: transport, Timeout: callTimeout}
	server := asynq.NewServer(redis, asynq.Config{Concurrency: concurrency, Queues: map[string]int{queue: 1}, Logger: silent{}})
	err := server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		return bareCall(ctx, client, spec.Platform, task.Payload())
	}))
	if err != nil {
		return err
	}
	producer := asynq.NewClient(redis)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /tasks", func(w http.ResponseWriter, r *http.Request) {
		var task tasks.NicknameSync
		if err := json.NewDecoder(r.Body).Decode(&task); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := enqueuePeer(r.Context(), producer, task, 1); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	mux.HandleFunc("POST /rows", func(w http.ResponseWriter, r *http.Request) {
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			var task tasks.NicknameSync
			if err := json.Unmarshal(lines.Bytes(), &task); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			if err := enqueuePeer(r.Context(), producer, task, 1); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		w.WriteHeader(http.StatusCreated)
	})
	return (&http.Server{Addr: spec.Listen, Handler: mux, ReadHeaderTimeout: time.Second}).ListenAndServe()
}
