// Language models, which `ai_models` grants.
import { call } from "./bridge.js";

const DEFAULTS = {
  "max-tokens": 100,
  "repeat-penalty": 1.1,
  "repeat-penalty-last-n-token-count": 64,
  temperature: 0.8,
  "top-k": 40,
  "top-p": 0.9,
};

// What a model says to a prompt: `text`, `promptTokens` and `generatedTokens`. The options are `maxTokens`,
// `temperature`, `topP`, `topK`, `repeatPenalty` and `repeatPenaltyLastNTokenCount`; without any, the server
// decides.
export function infer(model, prompt, options = {}) {
  const given = Object.entries(options).map(([name, value]) => [hyphenated(name), value]);
  const params = given.length ? { ...DEFAULTS, ...Object.fromEntries(given) } : null;
  const { text, usage } = call("llm.infer", model, prompt, params);
  return { text, promptTokens: usage["prompt-token-count"], generatedTokens: usage["generated-token-count"] };
}

// What texts mean to a model: an array of numbers each.
export function embed(model, texts) {
  return call("llm.generate-embeddings", model, [...texts]).embeddings;
}

function hyphenated(name) {
  const hyphenated = name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
  if (!Object.hasOwn(DEFAULTS, hyphenated)) throw new TypeError(`a model has no option \`${name}\``);
  return hyphenated;
}
