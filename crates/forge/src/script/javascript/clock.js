// `performance`, which counts from the start of an instance.
import * as os from "qjs:os";

// In milliseconds; the interpreter counts microseconds.
const clock = () => os.now() / 1000;

let begin = clock();
let origin = Date.now();

// Called as an instance thaws, which the clocks of before have nothing to do with.
export function renewClock() {
  begin = clock();
  origin = Date.now();
}

export const performance = {
  now: () => clock() - begin,
  get timeOrigin() {
    return origin;
  },
  mark() {},
  measure() {},
  toJSON: () => ({ timeOrigin: origin }),
};
