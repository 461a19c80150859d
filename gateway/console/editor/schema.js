// What may stand at a place of a rulebook, told by its JSON Schema.

// The keys that lead to the end of `before`, by indentation and by open brackets, and whether a value is wanted there.
export function place(before) {
  const stack = []; // {indent, key}, a list item as key "[]"
  const lines = before.split("\n");
  let value = null; // what stands before the cursor in its line, behind the key
  lines.forEach((line, number) => {
    const last = number === lines.length - 1;
    if (!last && (!line.trim() || line.trim().startsWith("#"))) return;
    let rest = line, indent = 0;
    const settle = () => { while (stack.length && stack.at(-1).indent >= indent) stack.pop(); };
    for (;;) {
      const blank = /^ */.exec(rest)[0].length;
      indent += blank;
      rest = rest.slice(blank);
      if (!/^-( |$)/.test(rest)) break;
      settle();
      stack.push({ indent, key: "[]" });
      indent += 1;
      rest = rest.slice(1);
    }
    const key = /^("[^"]*"|'[^']*'|[^\s:{}[\],#][^:{}[\],#]*?)\s*:(?: |$)/.exec(rest);
    if (key || rest || last) settle();
    if (key) stack.push({ indent, key: unquoted(key[1]) });
    if (last) value = key ? rest.slice(key[0].length) : /^[{[]/.test(rest) ? rest : null;
  });
  const path = stack.map((one) => one.key);
  return value === null ? { path, wants: "key" } : flow(path, value);
}

// Inside {a: {b: [c, |
function flow(path, text) {
  const inner = [...path];
  const open = [];
  let token = "", key = null;
  for (const char of text) {
    if (char === "{" || char === "[") {
      if (key !== null) inner.push(key);
      open.push({ bracket: char, pushed: key !== null });
      if (char === "[") inner.push("[]");
      [token, key] = ["", null];
    } else if (char === "}" || char === "]") {
      const closed = open.pop();
      if (closed?.bracket === "[") inner.pop();
      if (closed?.pushed) inner.pop();
      [token, key] = ["", null];
    } else if (char === ",") [token, key] = ["", null];
    else if (char === ":" && open.at(-1)?.bracket === "{") [token, key] = ["", unquoted(token.trim())];
    else token += char;
  }
  if (open.at(-1)?.bracket === "{" && key === null) return { path: inner, wants: "key" };
  return { path: key === null ? inner : [...inner, key], wants: "value" };
}

const unquoted = (word) => word.replace(/^(["'])(.*)\1$/, "$2");

// Every schema that may describe what stands at the path.
function described(root, path) {
  let found = [root];
  for (const key of path) {
    found = found.flatMap((one) => opened(root, one)).flatMap((one) => step(one, key));
  }
  return found.flatMap((one) => opened(root, one));
}

// References followed and alternatives laid side by side.
function opened(root, schema, depth = 0) {
  if (!schema || typeof schema !== "object" || depth > 8) return [];
  if (schema.$ref) return opened(root, pointed(root, schema.$ref), depth + 1);
  const others = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? []), schema.then, schema.else];
  return [schema, ...others.flatMap((one) => opened(root, one, depth + 1))];
}

const pointed = (root, ref) => ref.replace(/^#\//, "").split("/").reduce((at, name) => at?.[name.replaceAll("~1", "/").replaceAll("~0", "~")], root);

function step(schema, key) {
  if (key === "[]") return schema.items ? [schema.items] : [];
  if (schema.properties?.[key]) return [schema.properties[key]];
  const pattern = Object.entries(schema.patternProperties ?? {}).find(([name]) => new RegExp(name, "u").test(key));
  if (pattern) return [pattern[1]];
  return schema.additionalProperties && typeof schema.additionalProperties === "object" ? [schema.additionalProperties] : [];
}

// Completions for the word that begins where `before` ends.
export function proposals(root, before) {
  const { path, wants } = place(before);
  const here = described(root, path);
  const options = new Map();
  const offer = (label, detail, type) => { if (!options.has(label)) options.set(label, { label, detail, type }); };
  if (wants === "key") {
    for (const one of here) {
      for (const [name, inner] of Object.entries(one.properties ?? {})) offer(name, about(root, inner), "property");
    }
    const listed = here.flatMap((one) => opened(root, one.items));
    for (const one of listed) for (const name of Object.keys(one.properties ?? {})) offer(name, "", "property");
    return [...options.values()].map((one) => ({ ...one, apply: `${one.label}: ` }));
  }
  const values = [...here, ...here.flatMap((one) => opened(root, one.items))];
  for (const one of values) {
    for (const word of one.enum ?? (one.const === undefined ? [] : [one.const])) offer(String(word), one.description ?? "", "enum");
    if (one.type === "boolean") ["true", "false"].forEach((word) => offer(word, "", "enum"));
  }
  return [...options.values()];
}

const about = (root, schema) => opened(root, schema).map((one) => one.description).find(Boolean) ?? "";
