// The app's variables, which `variables` grants.
import { call } from "./bridge.js";

// The variable's value, a text.
export function get(name) {
  return call("variables.get", name);
}
