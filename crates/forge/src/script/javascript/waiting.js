// Waits for the host: for the first of what promises were made for, and for timers meanwhile.
import { call } from "./bridge.js";
import { untilNext } from "./timers.js";

// How long is waited for a timer before it is looked for again, in milliseconds.
const LONGEST = 1e9;

const waits = new Set();

// Resolves when the host says that something is ready: what a function called `subscribe` gives.
export function until(pollable) {
  const { promise, resolve } = Promise.withResolvers();
  waits.add({ pollable, resolve });
  return promise;
}

// Waits no longer: the promise stays as it is.
export function forget(pollable) {
  for (const one of waits) if (one.pollable === pollable) waits.delete(one);
  call("poll.pollable.drop", pollable);
}

// Called when nothing else is left to do. Whether there was something to wait for.
export function wait() {
  if (!waits.size) return false;
  const asked = [...waits];
  const pollables = asked.map(({ pollable }) => pollable);
  const milliseconds = untilNext();
  if (milliseconds !== Infinity) {
    const nanoseconds = Math.ceil(Math.min(Math.max(0, milliseconds), LONGEST) * 1e6);
    pollables.push(call("monotonic-clock.subscribe-duration", nanoseconds));
  }
  const ready = call("poll.poll", pollables);
  if (pollables.length > asked.length) call("poll.pollable.drop", pollables.at(-1));
  for (const at of ready) {
    if (at === asked.length) continue;
    const { pollable, resolve } = asked[at];
    waits.delete(asked[at]);
    call("poll.pollable.drop", pollable);
    resolve();
  }
  return true;
}
