/**
 * Lists of names and patterns as header fields, in the way of BuildKit's file sync: what is not plain ASCII is
 * query-escaped, all values of a key alike, and `<key>-encoded: 1` says so.
 */

const PLAIN = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/;

/** Nothing where `values` is left out; an empty list cannot be told from that on the wire. */
export function headerValues(key: string, values: readonly string[] | undefined): Record<string, string[]> {
  if (values === undefined || values.length === 0) return {};
  if (values.every((value) => PLAIN.test(value))) return { [key]: [...values] };
  return { [key]: values.map(queryEscape), [`${key}-encoded`]: ['1'] };
}

/** Go's url.QueryEscape. */
function queryEscape(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}
