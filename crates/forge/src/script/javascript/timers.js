// `setTimeout` and its like.
import * as os from "qjs:os";
import { performance } from "./clock.js";
import { reportError } from "./console.js";

// By the number that was given out: the interpreter's timer, and when it is due.
const timers = new Map();
let last = 0;

export function setTimeout(callback, delay = 0, ...values) {
  last += 1;
  arm(last, callback, delay, values, false);
  return last;
}

export function setInterval(callback, delay = 0, ...values) {
  last += 1;
  // One that never waits would leave no time to others.
  arm(last, callback, Math.max(1, delay), values, true);
  return last;
}

function arm(id, callback, delay, values, repeats) {
  const due = () => {
    if (repeats) arm(id, callback, delay, values, true);
    else timers.delete(id);
    try {
      callback(...values);
    } catch (error) {
      reportError(error);
    }
  };
  const milliseconds = Math.max(0, Number(delay) || 0);
  timers.set(id, [os.setTimeout(due, milliseconds), performance.now() + milliseconds]);
}

export function clearTimeout(id) {
  if (!timers.has(id)) return;
  os.clearTimeout(timers.get(id)[0]);
  timers.delete(id);
}

// How many milliseconds there are until the next timer is due; Infinity where there is none.
export function untilNext() {
  let next = Infinity;
  for (const [, due] of timers.values()) next = Math.min(next, due);
  return next - performance.now();
}

const later = globalThis.queueMicrotask;

export function queueMicrotask(callback) {
  if (typeof callback !== "function") throw new TypeError("a microtask is a function");
  later(() => {
    try {
      callback();
    } catch (error) {
      reportError(error);
    }
  });
}

export { clearTimeout as clearInterval };
