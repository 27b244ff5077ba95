// Enqueue one change through the HTTP API. Node 18 or later, no packages.
//
//	ROLLCALL_URL=https://rollcall.example.org ROLLCALL_TOKEN=… node enqueue.mjs order-7 '{"tenant":…}'
//
// Started again with the same key, it cannot enqueue the change twice.
const [key, change] = process.argv.slice(2);

async function enqueue() {
  for (let attempt = 0; attempt < 30; attempt++) {
    let wait = Math.min(2 ** attempt, 30);
    try {
      const answer = await fetch(`${process.env.ROLLCALL_URL}/v1/tasks`, {
        method: "POST",
        headers: {
          Authorization: `Bearer ${process.env.ROLLCALL_TOKEN}`,
          "Content-Type": "application/json",
          "Idempotency-Key": key,
        },
        body: change,
      });
      const body = await answer.json();
      if (answer.ok) return body;
      if (![408, 409, 429, 503].includes(answer.status)) {
        throw Object.assign(new Error(`${body.title}: ${body.detail}`), { final: true, errors: body.errors });
      }
      wait = Number(answer.headers.get("Retry-After") ?? 1);
    } catch (error) {
      if (error.final) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, wait * 1000));
  }
  throw new Error("rollcall is unavailable");
}

const stored = await enqueue();
console.log(stored.outcome, stored.task_id);
