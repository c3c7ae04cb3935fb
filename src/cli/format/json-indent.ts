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

/** Parses JSON with integers that a double cannot hold as bigints. */
export function parseExact(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown, context?: { source?: string }) => {
    const source = context?.source;
    if (typeof value !== 'number' || Number.isSafeInteger(value) || source === undefined) return value;
    return /^-?\d+$/.test(source) ? BigInt(source) : value;
  });
}
