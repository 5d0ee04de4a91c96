// Where an import leads: to a file by its path, an ES module or JSON. Packages are in the bundle, where
// there is one.
import * as os from "qjs:os";

const ENDINGS = ["", ".js", ".mjs", ".json", "/index.js", "/index.mjs", ".ts", ".tsx", ".mts"];

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
  throw new ReferenceError(
    `could not load \`${name}\`, which \`${base}\` imports: there is no folder \`node_modules\` with packages beside the script`,
  );
}

// The hint for a script that was written for another module system.
export function hintFor(error) {
  const isCommonJs = error instanceof ReferenceError && /^'?(?:require|module|exports)\b/.test(error.message);
  return isCommonJs ? "a script that is named `.js` is an ES module: name it `.cjs`, and it is bundled" : null;
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

function fileAt(path, name, base) {
  path = normal(path);
  // `./name.js` may stand for a file that is compiled to that.
  const source = path.replace(/\.js$/, ".ts");
  const found = ENDINGS.map(ending => path + ending).find(isFile) ?? [source].find(isFile);
  if (found === undefined) {
    throw new ReferenceError(`could not load \`${name}\`, which \`${base}\` imports: there is no such file`);
  }
  if (/\.[mc]?tsx?$/.test(found)) {
    throw new TypeError(`\`${found}\` is TypeScript: name the script \`.ts\` too, and it is bundled`);
  }
  return found;
}
