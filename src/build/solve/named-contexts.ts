/**
 * Named contexts as BuildKit finds them: names are those of images in their familiar form, without `:latest`, and one
 * for a platform (`name::linux/arm64`) comes before one for all.
 */
import { formatPlatform, type Platform } from '../../image/platform.ts';
import { familiarString, parseReference } from '../../image/reference.ts';
import type { ContextSpec } from '../solve-request.ts';
import type { NamedContext } from './stage-graph.ts';

export class NamedContexts {
  readonly #given: Readonly<Record<string, ContextSpec>>;
  /** From what is looked for to the name as it was given. */
  readonly #names = new Map<string, string>();

  constructor(given: Readonly<Record<string, ContextSpec>>) {
    this.#given = given;
    for (const name of Object.keys(given)) {
      const [image = '', ...platform] = name.split('::');
      this.#names.set([familiar(image), ...platform].join('::'), name);
    }
  }

  find(name: string, platform: Platform): NamedContext | undefined {
    if (this.#names.size === 0) return undefined;
    const looked = familiar(name);
    const found = this.#names.get(`${looked}::${formatPlatform(platform)}`) ?? this.#names.get(looked);
    if (found === undefined) return undefined;
    const spec = this.#given[found];
    return { name: found, ...(spec?.kind === 'stage' ? { stage: spec.name } : {}) };
  }
}

function familiar(name: string): string {
  try {
    return familiarString(parseReference(name)).replace(/:latest$/, '');
  } catch {
    // No reference, as a stage's number or a name in capitals: it is itself.
    return name;
  }
}
