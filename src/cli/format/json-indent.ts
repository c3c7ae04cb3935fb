/** Indents JSON text without reading its values, so that numbers and the order of keys stay as the daemon wrote them. */

/** Four spaces a level; empty objects and lists stay on one line. The text must be valid JSON. */
export function indentJson(text: string, indent = '    '): string {
  let output = '';
  let depth = 0;
  const newline = (): string => `\n${indent.repeat(depth)}`;
  for (const [token = ''] of text.matchAll(/"(?:\\.|[^"\\])*"|[{[]\s*[}\]]|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    if (token.length > 1 && /^[{[]/.test(token)) output += (token[0] ?? '') + (token.at(-1) ?? '');
    else if (token === '{' || token === '[') {
      depth++;
      output += token + newline();
    } else if (token === '}' || token === ']') {
      depth--;
      output += newline() + token;
    } else if (token === ',') output += token + newline();
    else output += token === ':' ? ': ' : token;
  }
  return output;
}

/** Each key of an object with its value's text, in their order; of a key that stands twice the last. Valid JSON only. */
export function objectMembers(text: string): [key: string, value: string][] {
  const members = new Map<string, string>();
  let depth = 0;
  let key = '';
  let start = -1;
  for (const match of text.matchAll(/"(?:\\.|[^"\\])*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    const [token] = match;
    const outermost = depth === 1 && (token === ',' || token === '}');
    if (outermost && start >= 0) {
      members.set(key, text.slice(start, match.index).trim());
      start = -1;
    } else if (depth === 1 && start < 0 && token === ':') start = match.index + 1;
    else if (depth === 1 && start < 0 && token.startsWith('"')) key = JSON.parse(token) as string;
    if (token === '{' || token === '[') depth++;
    else if (token === '}' || token === ']') depth--;
  }
  return [...members];
}

/** Escapes in JSON text what Go's marshaller escapes for HTML's sake. */
export function goEscape(text: string): string {
  return text.replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Parses JSON with integers that a double cannot hold as bigints. */
export function parseExact(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown, context?: { source?: string }) => {
    const source = context?.source;
    if (typeof value !== 'number' || Number.isSafeInteger(value) || source === undefined) return value;
    return /^-?\d+$/.test(source) ? BigInt(source) : value;
  });
}
