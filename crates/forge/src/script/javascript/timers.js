// `setTimeout` and its like.
import * as os from "qjs:os";
import { reportError } from "./console.js";

// By the number that was given out: the interpreter's timer.
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
  timers.set(id, os.setTimeout(due, Math.max(0, Number(delay) || 0)));
}

export function clearTimeout(id) {
  if (!timers.has(id)) return;
  os.clearTimeout(timers.get(id));
  timers.delete(id);
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
