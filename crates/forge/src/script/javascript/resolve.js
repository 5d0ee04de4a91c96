// Where an import leads: to a file by its path, or into a package in `node_modules`. All are ES
// modules, or JSON; what is not says how it becomes one.
import * as os from "qjs:os";
import * as std from "qjs:std";

const ENDINGS = ["", ".js", ".mjs", ".json", "/index.js", "/index.mjs", ".ts", ".tsx", ".mts"];
const CONDITIONS = new Set(["import", "module", "worker", "default"]);
// Those that name ES modules, whatever the package says of its files.
const OF_MODULES = new Set(["import", "module"]);

const BUNDLE = "`npx esbuild app.js --bundle --format=esm --outfile=bundle.js`";

// The name of the module that `name` means to the module `base`.
export function resolve(base, name) {
  if (name.startsWith("qjs:")) return name;
  if (name === "dayfly") return "/dayfly/dayfly.js";
  if (name.startsWith("node:")) {
    throw new TypeError(`\`${name}\`, which \`${base}\` imports, is a module of Node.js and not here`);
  }
  const path = name.startsWith("file://") ? decodeURIComponent(name.slice(7)) : name;
  if (/^\.{0,2}\//.test(path) || path === "." || path === "..") {
    return fileAt(path.startsWith("/") ? path : `${folderOf(base)}/${path}`, name, base);
  }
  if (/^[a-z][a-z0-9+.-]+:/i.test(name)) throw new TypeError(`\`${name}\` cannot be imported`);
  return name.startsWith("#") ? resolveOwn(base, name) : resolvePackage(base, name);
}

// The hint for a script that was written for another module system.
export function hintFor(error) {
  const isCommonJs = error instanceof ReferenceError && /^'?(?:require|module|exports)\b/.test(error.message);
  return isCommonJs ? `scripts are ES modules: bundle CommonJS with esbuild or rolldown (${BUNDLE})` : null;
}

const folderOf = path => path.slice(0, path.lastIndexOf("/"));

function normal(path) {
  const parts = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

function isFile(path) {
  const [found] = os.stat(path);
  return found !== null && (found.mode & os.S_IFMT) === os.S_IFREG;
}

function missing(name, base) {
  return new ReferenceError(`could not load \`${name}\`, which \`${base}\` imports: there is no such file`);
}

function fileAt(path, name, base) {
  path = normal(path);
  // `./name.js` may stand for a file that is compiled to that.
  const source = path.replace(/\.js$/, ".ts");
  const found = ENDINGS.map(ending => path + ending).find(isFile) ?? [source].find(isFile);
  if (found === undefined) throw missing(name, base);
  if (/\.[mc]?tsx?$/.test(found)) {
    throw new TypeError(
      `\`${found}\` is TypeScript, whose types are to be stripped before: ${BUNDLE.replace("app.js", "app.ts")}`,
    );
  }
  return found;
}

// What a `package.json` says, null where there is none.
function descriptionIn(folder) {
  const text = std.loadFile(`${folder}/package.json`);
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`\`${folder}/package.json\` is no JSON: ${error.message}`);
  }
}

function* foldersUp(base) {
  for (let folder = folderOf(base); folder !== ""; folder = folderOf(folder)) yield folder;
}

function resolvePackage(base, name) {
  const [, own, inner] = /^((?:@[^/]+\/)?[^/]+)(.*)$/.exec(name) ?? [];
  for (const above of foldersUp(base)) {
    const folder = `${above}/node_modules/${own}`;
    const description = own === undefined ? null : descriptionIn(folder);
    if (!description) continue;
    const [path, isModule] = entryOf(description, inner, name);
    const found = fileAt(`${folder}/${path}`, name, base);
    expectModule(found, isModule || description.type === "module", name);
    return found;
  }
  throw new ReferenceError(
    `could not load \`${name}\`, which \`${base}\` imports: there is no package \`${own}\` in \`node_modules\` beside the script`,
  );
}

// A path in a package, and whether an ES module is known to be there.
function entryOf(description, inner, name) {
  const { exports, main, module } = description;
  if (exports !== undefined && exports !== null) {
    const isMap = typeof exports === "object" && Object.keys(exports).every(key => key.startsWith("."));
    const found = lookUp(isMap ? exports : { ".": exports }, `.${inner}`);
    if (!found) throw new TypeError(`the package of \`${name}\` does not export that`);
    return found;
  }
  if (inner) return [inner, false];
  return module ? [module, true] : [main ?? "index.js", false];
}

// What begins with `#` is looked up in the package's own `imports`.
function resolveOwn(base, name) {
  for (const folder of foldersUp(base)) {
    const description = descriptionIn(folder);
    if (!description) continue;
    const found = lookUp(description.imports ?? {}, name);
    if (!found) break;
    const [path] = found;
    return path.startsWith("./") ? fileAt(`${folder}/${path}`, name, base) : resolve(base, path);
  }
  throw new TypeError(`no \`imports\` of a package.json says what \`${name}\` is`);
}

// Finds a key, or the pattern that fits it best: that with the longest text before its star.
function lookUp(map, key) {
  if (Object.hasOwn(map, key) && !key.includes("*")) return targetOf(map[key], "", false);
  let best = null;
  for (const pattern of Object.keys(map)) {
    const [before, after] = pattern.split("*");
    const fits = after !== undefined && key.startsWith(before) && key.endsWith(after);
    if (fits && key.length > before.length + after.length && !(best?.before.length >= before.length)) {
      best = { before, star: key.slice(before.length, key.length - after.length), target: map[pattern] };
    }
  }
  return best && targetOf(best.target, best.star, false);
}

function targetOf(target, star, isModule) {
  if (typeof target === "string") return [target.replaceAll("*", star), isModule];
  if (typeof target !== "object" || target === null) return null;
  for (const [key, value] of Object.entries(target)) {
    const applies = Array.isArray(target) || CONDITIONS.has(key);
    const found = applies ? targetOf(value, star, isModule || OF_MODULES.has(key)) : null;
    if (found) return found;
  }
  return null;
}

function expectModule(path, isKnown, name) {
  if (/\.(?:mjs|json)$/.test(path) || (isKnown && !path.endsWith(".cjs"))) return;
  if (!path.endsWith(".cjs") && /^\s*(?:import|export)[\s{*"']/m.test(std.loadFile(path))) return;
  throw new TypeError(
    `\`${name}\` is a CommonJS module (\`${path}\`), and scripts load ES modules: bundle it with esbuild or rolldown (${BUNDLE})`,
  );
}
