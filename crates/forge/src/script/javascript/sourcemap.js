// Says of a place in a bundle where that is in the script's own files, by the bundler's source map (ECMA-426).
import * as std from "qjs:std";

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PLACE = /\/bundle\/app\.js:(\d+)(?::(\d+))?/g;

// Read while the app is loaded, and understood once a backtrace asks.
let text = null;
let map = null;

export function readMap(entry) {
  if (entry.startsWith("/bundle/")) text = std.loadFile(`${entry}.map`) || null;
}

// A backtrace with the places that are in the script's files.
export function mapped(trace) {
  if (text === null) return trace;
  map ??= JSON.parse(text);
  return trace.replace(PLACE, (place, line, column) => original(Number(line), Number(column ?? 1)) ?? place);
}

function original(line, column) {
  let source = 0;
  let row = 0;
  let found = null;
  const lines = map.mappings.split(";").slice(0, line);
  for (const [at, segments] of lines.entries()) {
    let begin = 0;
    for (const segment of segments.split(",")) {
      const [step = 0, sourceStep, rowStep] = numbers(segment);
      begin += step;
      if (sourceStep === undefined) continue;
      source += sourceStep;
      row += rowStep;
      if (at === line - 1 && (found === null || begin < column)) found = [source, row];
    }
  }
  return found && `/app/${map.sources[found[0]]}:${found[1] + 1}`;
}

// The numbers of a segment: five bits a digit, the lowest first, then the sign.
function numbers(segment) {
  const found = [];
  let value = 0;
  let shift = 0;
  for (const digit of segment) {
    const bits = DIGITS.indexOf(digit);
    value += (bits & 31) * 2 ** shift;
    shift += 5;
    if (bits & 32) continue;
    found.push(value & 1 ? -(value >>> 1) : value >>> 1);
    value = shift = 0;
  }
  return found;
}
