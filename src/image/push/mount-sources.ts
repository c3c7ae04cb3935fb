/**
 * From which repositories of a registry a blob may be taken over: those that images here with that blob were pulled from
 * or pushed to. The likeliest first, which are those that share the most of the name, for they are readable the most.
 */

/** A refused attempt costs a request, and may cost a token. */
const MAX_SOURCES = 3;

/** `known` and `target` are full names; the result has paths inside the target's registry. */
export function mountSources(known: readonly string[], target: string): string[] {
  const { domain, path } = split(target);
  return known
    .map(split)
    .filter((repository) => repository.domain === domain && repository.path !== path)
    .map((repository) => repository.path)
    .sort((a, b) => shared(b, path) - shared(a, path) || (a < b ? -1 : 1))
    .slice(0, MAX_SOURCES);
}

function split(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/');
  return { domain: name.slice(0, slash), path: name.slice(slash + 1) };
}

/** How many components two paths have in common at their beginning. */
function shared(a: string, b: string): number {
  const [left, right] = [a.split('/'), b.split('/')];
  const different = left.findIndex((component, i) => component !== right[i]);
  return different === -1 ? left.length : different;
}
