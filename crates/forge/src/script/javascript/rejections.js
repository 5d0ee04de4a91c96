// Promises that are rejected without anyone looking.
import * as system from "./system.js";
import { inspect } from "./console.js";
import { Event } from "./events.js";
import { dispatch } from "./globals.js";

const unhandled = new Map();

// Told by the interpreter of each rejection, and of each that is looked at later.
export function track(promise, reason, isHandled) {
  if (isHandled) unhandled.delete(promise);
  else unhandled.set(promise, reason);
}

class PromiseRejectionEvent extends Event {
  constructor(type, { promise, reason, ...options }) {
    super(type, options);
    this.promise = promise;
    this.reason = reason;
  }
}

// Logs those that are left, unless a listener takes them.
export function tell() {
  for (const [promise, reason] of unhandled) {
    const event = new PromiseRejectionEvent("unhandledrejection", { promise, reason, cancelable: true });
    if (dispatch(event)) system.log(`unhandled rejection: ${inspect(reason)}`);
  }
  unhandled.clear();
}
