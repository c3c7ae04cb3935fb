/** Outputs and annotations as the query of `POST /build` has them. */
import { InvalidParameterError } from '../base/errors.ts';
import { jsonArray, jsonMap, stringMap } from './query-values.ts';
import type { OutputSpec } from './solve-request.ts';

/** `manifest,index[linux/arm64]:key` each (default the manifests), as attributes of outputs. */
export function annotations(text: string): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const [name, value] of Object.entries(jsonMap(text, 'annotations', false))) {
    const [, places = 'manifest', key = name] =
      /^([a-z-]+(?:\[[^\]]*\])?(?:,[a-z-]+(?:\[[^\]]*\])?)*):(.+)$/s.exec(name) ?? [];
    for (const place of places.split(',')) {
      const [, kind = '', platform = ''] = /^([^[]*)(.*)$/.exec(place) ?? [];
      if (!ANNOTATED.includes(kind))
        throw new InvalidParameterError(`unknown annotation type "${kind}" of ${name}`);
      attributes[`annotation-${kind}${platform}.${key}`] = value ?? '';
    }
  }
  return attributes;
}

const ANNOTATED = ['manifest', 'index', 'manifest-descriptor', 'index-descriptor'];

/** Without any, the image is kept. Docker's form is a list of `{Type, Attrs}`. */
export function outputs(
  text: string,
  names: readonly string[],
  annotations: Readonly<Record<string, string>>,
): OutputSpec[] {
  const image: OutputSpec = { type: 'image', names, push: false, store: true, attributes: annotations };
  if (text === '' || text === 'null') return [image];
  const list = jsonArray(text, 'outputs');
  if (list.length === 0) return [image];
  return list.map((item): OutputSpec => {
    const { Type, Attrs } = (item ?? {}) as { Type?: unknown; Attrs?: unknown };
    const attributes = { ...annotations, ...stringMap(Attrs ?? {}, 'outputs') };
    const named = attributes['name'] === undefined ? names : attributes['name'].split(',');
    switch (Type) {
      case 'image':
      case 'moby':
      case 'registry':
        return {
          type: 'image',
          names: named,
          push: Type === 'registry' || attributes['push'] === 'true',
          store: attributes['store'] !== 'false',
          attributes,
        };
      case 'local':
      case 'tar':
      case 'oci':
      case 'docker':
        return { type: Type, names: named, attributes };
      case 'cacheonly':
        return { type: 'cacheonly' };
      default:
        throw new InvalidParameterError(
          `invalid output type "${String(Type)}": expected image, registry, local, tar, oci, docker or cacheonly`,
        );
    }
  });
}
