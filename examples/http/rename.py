#!/usr/bin/env python3
"""Rename everyone in a file of NDJSON through the HTTP API. Python 3.9, standard library only.

    rename.py --url https://rollcall.example.org --token-file token names.ndjson

It may be killed at any time: started again, it continues. A guard that objects holds the
run; a person approves it, or rejects it.

With --hook PORT it waits for the worker's webhook at http://127.0.0.1:PORT, where a proxy
with TLS forwards calls to, instead of asking again and again.
"""
import argparse
import base64
import hashlib
import hmac
import http.server
import json
import queue
import sys
import threading
import time
import urllib.error
import urllib.request


def verify(secret, headers, body):
    """Returns the event of a call. headers: names in lower case; body: the bytes as they came."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    if abs(time.time() - int(headers["webhook-timestamp"])) > 300:
        raise ValueError("too old, or from the future")
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    for one in headers["webhook-signature"].split():
        version, _, signature = one.partition(",")
        if version == "v1" and hmac.compare_digest(signature, expected):
            return json.loads(body)
    raise ValueError("no valid signature")


def listen(port, secret):
    """Returns a queue of the events of valid calls."""
    events = queue.Queue()

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                events.put(verify(secret, {name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(204)
            except (ValueError, KeyError):
                self.send_response(403)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return events


def await_event(events, run, patience=60):
    """Waits for an event of a run. A call may come late, so the caller reads the run after a minute in any case."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            event = events.get(timeout=until - time.monotonic())
        except (queue.Empty, ValueError):
            return
        if event["data"].get("run") == run:
            print("webhook", event["type"], flush=True)
            return


class Api:
    def __init__(self, url, token):
        self.url, self.token = url.rstrip("/"), token

    def call(self, method, path, body=None, content_type="application/json", headers=None):
        """Send a request; repeat it while the service or the network is unavailable."""
        for attempt in range(60):
            request = urllib.request.Request(self.url + path, data=body, method=method, headers={
                "Authorization": "Bearer " + self.token, "Content-Type": content_type, **(headers or {})})
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                wait = int(error.headers.get("Retry-After", 1))
                if error.code not in (408, 502, 504) and "Retry-After" not in error.headers:
                    problem = json.load(error)
                    sys.exit(f"{method} {path}: {problem['title']}: {problem['detail']} {problem.get('errors', '')}")
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                wait = min(2 ** attempt, 30)
            time.sleep(wait)
        sys.exit(f"{method} {path}: unavailable")

    def post(self, path, value, **headers):
        return self.call("POST", path, json.dumps(value).encode(), headers=headers)[1]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--url", required=True)
    options.add_argument("--token-file", required=True)
    options.add_argument("--part", type=int, default=1000, help="rows of a request")
    options.add_argument("--hook", type=int, metavar="PORT", help="wait for the webhook at this port of 127.0.0.1")
    options.add_argument("--hook-secret-file", help="secret of the webhook")
    options.add_argument("file")
    o = options.parse_args()
    with open(o.token_file, encoding="utf-8") as token:
        api = Api(o.url, token.read().strip())
    with open(o.file, "rb") as rows:
        lines = rows.readlines()
    events = None
    if o.hook:
        with open(o.hook_secret_file, encoding="utf-8") as secret:
            events = listen(o.hook, secret.read().strip())

    # The same file is the same run, for 24 hours.
    key = hashlib.sha256(b"".join(lines)).hexdigest()
    run = api.call("POST", "/v1/runs", b"", headers={"Idempotency-Key": key})[1]
    path = "/v1/runs/" + run["id"]
    run = api.call("GET", path)[1]
    rows_in = run["rows"]
    while rows_in < len(lines):
        part = b"".join(lines[rows_in:rows_in + o.part])
        rows_in = api.call("POST", f"{path}/rows?from={rows_in}", part, "application/x-ndjson")[1]["rows_in"]
        print("uploaded", rows_in, flush=True)
    if run["state"] == "uploading":
        api.post(path + "/seal", {"rows": len(lines)})

    status = 202
    while status == 202:
        status, plan = api.call("GET", path + "/plan?limit=1")
    run = plan["run"]
    if run["state"] == "planned":
        print("plan", run["plan"]["counts"], flush=True)
        run = api.post(path + "/apply", {"digest": run["plan"]["digest"]})
    while run["state"] in ("canary", "applying"):
        if events:
            await_event(events, run["id"])
            run = api.call("GET", path)[1]
        else:
            run = api.call("GET", f"{path}?while={run['state']}&wait=30")[1]
    print(run["id"], run["state"], run.get("reason", ""), run.get("outcomes", ""), flush=True)

    after = 0
    while after is not None:
        page = api.call("GET", f"{path}/results?outcome=failed,conflict,impossible&limit=1000&after={after}")[1]
        for row in page["rows"]:
            print("row", row["row"], row["outcome"], row.get("code", ""), row.get("message", ""), row.get("todo", ""))
        after = page.get("next")
    sys.exit(0 if run["state"] == "done" else 3)


if __name__ == "__main__":
    main()
