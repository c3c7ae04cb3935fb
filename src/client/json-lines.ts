/** Newline-delimited JSON, as progress streams, events and stats send it. */

/** Yields each value as soon as its line is complete, read by `parse` (default `JSON.parse`); values may also follow each other without a newline. */
export async function* jsonLines<T>(
  stream: AsyncIterable<Uint8Array>,
  parse: (text: string) => unknown = JSON.parse,
): AsyncGenerator<T> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield* valuesOf<T>(line, parse);
  }
  yield* valuesOf<T>(rest + decoder.decode(), parse);
}

function* valuesOf<T>(line: string, parse: (text: string) => unknown): Generator<T> {
  const text = line.trim();
  if (text === '') return;
  try {
    yield parse(text) as T;
    return;
  } catch (error) {
    if (!text.includes('}{')) throw error;
  }
  for (const value of splitObjects(text)) yield parse(value) as T;
}

/** `{…}{…}` at its top-level borders; braces inside strings do not count. */
function* splitObjects(text: string): Generator<string> {
  let depth = 0;
  let start = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (inString) {
      if (char === '\\') at++;
      else if (char === '"') inString = false;
    } else if (char === '"') inString = true;
    else if (char === '{') depth++;
    else if (char === '}' && --depth === 0) {
      yield text.slice(start, at + 1);
      start = at + 1;
    }
  }
  if (start < text.length) yield text.slice(start);
}
