/** What reads texts that strangers write: names, Dockerfiles, ignore files, JSON of registries and clients. */
import { parseFilters } from '../../src/api/filters.ts';
import { IgnoreRules, parseIgnoreFile } from '../../src/base/ignore/ignore-rules.ts';
import { expandWord } from '../../src/build/dockerfile/expand.ts';
import { parseDockerfile } from '../../src/build/dockerfile/parse.ts';
import { chainIds, parseImageConfig } from '../../src/image/image-config.ts';
import { parseManifest } from '../../src/image/manifest.ts';
import {
  canonicalString,
  familiarString,
  parseReference,
  withDefaultTag,
} from '../../src/image/reference.ts';
import type { FuzzTarget } from './target.ts';

const bytes = (text: string): Buffer => Buffer.from(text);

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: variables of Dockerfiles
const DIGEST = `sha256:${'ab'.repeat(32)}`;
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const DESCRIPTOR = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', size: 3, digest: DIGEST };
const JSON_WORDS = [
  'null',
  'true',
  '[]',
  '{}',
  '{"__proto__":{}}',
  '"sha256:"',
  '"size":',
  '"digest":',
  ',',
  ':',
];

export const textTargets: readonly FuzzTarget[] = [
  {
    name: 'reference',
    refusals: ['InvalidParameter'],
    words: ['@', ':', '/', DIGEST, 'localhost:5000/', '[::1]:80/', 'docker.io/library/', 'latest'],
    seeds: ['busybox', 'localhost:5000/a/b:tag', `x/y@${DIGEST}`, '[fe80::1]:5000/a_b__c.d-e:1'].map(
      Buffer.from,
    ),
    run: (input) => {
      const reference = parseReference(input.toString('utf8'));
      const again = parseReference(familiarString(reference));
      if (canonicalString(again) !== canonicalString(reference)) throw new Error('it is read in two ways');
      withDefaultTag(reference);
    },
  },
  {
    name: 'dockerfile',
    refusals: ['InvalidParameter'],
    words: [
      'FROM ',
      'RUN ',
      '<<EOF\n',
      '\nEOF\n',
      '--mount=type=',
      'COPY --from=',
      '# syntax=',
      '# escape=`',
      '\\\n',
      'ARG A=',
      'HEALTHCHECK CMD ',
      'ONBUILD ',
      '["a"]',
    ],
    seeds: [
      'ARG V=1\nFROM busybox:${V:-2} AS base\nRUN --mount=type=cache,target=/c echo "$V" \\\n  && true\nCOPY --chown=1:2 --from=base a b /c/\nENV A=b "C D"=e\nLABEL x="y z" w=\'v\'\n',
      '# escape=`\nFROM scratch\nCOPY <<EOF <<"X Y" /d/\na\nEOF\nb\nX Y\nHEALTHCHECK --interval=1m30s CMD ["a","b"]\nONBUILD RUN <<-E\n\tx\n\tE\nSHELL ["/bin/sh"]\nSTOPSIGNAL 9\n',
    ].map(bytes),
    run: (input) => void parseDockerfile(input.toString('utf8')),
  },
  {
    name: 'expand',
    refusals: ['InvalidParameter'],
    words: ['${A', ':-', ':+', '##', '%%', '//', '/#', '}', '$A', '\\$', '*', '?', '[a-z]', "'", '"'],
    seeds: ['${A:-${B:+x}}', '$A${B##*/}${C%%.*}', '\'$A\' "$B" ${A/x*y/z}', '${A:?m}'].map(bytes),
    run: (input) => {
      const variables = new Map([
        ['A', 'xyxyxyxyxyxyxyxyxyxyxyxyxyxyxy'],
        ['B', 'a/b/c.tar.gz'],
      ]);
      expandWord(input.toString('utf8'), { lookup: (name) => variables.get(name), escapeChar: '\\' });
    },
  },
  {
    name: 'ignore',
    refusals: ['InvalidParameter'],
    words: ['**', '*', '?', '[a-', ']', '!', '\\', '/', '#', '**/', '/**', '..'],
    seeds: [
      '*.md\n!README.md\n**/node_modules\n/a/**/b\n[a-c]?x\n',
      'a*a*a*a*a*a*a*a*b\n**/**/**/x\n!/y/\n',
    ].map(bytes),
    run: (input) => {
      const rules = new IgnoreRules(parseIgnoreFile(input.toString('utf8')));
      for (const path of [
        'README.md',
        'a/b/c/node_modules/x',
        `${'a/'.repeat(40)}${'a'.repeat(60)}`,
        'y/z',
      ]) {
        rules.excludes(path);
        rules.mayIncludeBelow(path);
      }
    },
  },
  {
    name: 'manifest',
    refusals: ['InvalidParameter', 'Internal'],
    words: [...JSON_WORDS, '"layers":', '"manifests":', '"platform":', MANIFEST, INDEX, DIGEST],
    seeds: [
      { schemaVersion: 2, mediaType: MANIFEST, config: DESCRIPTOR, layers: [DESCRIPTOR, DESCRIPTOR] },
      {
        schemaVersion: 2,
        mediaType: INDEX,
        manifests: [{ ...DESCRIPTOR, platform: { os: 'linux', architecture: 'amd64' } }],
      },
    ].map((value) => Buffer.from(JSON.stringify(value))),
    run: (input) => void parseManifest(input, input.includes('manifests') ? INDEX : MANIFEST),
  },
  {
    name: 'image-config',
    refusals: ['InvalidParameter', 'Internal'],
    words: [...JSON_WORDS, '"rootfs":', '"diff_ids":', '"history":', '"config":', '"Env":', '"Volumes":'],
    seeds: [
      {
        architecture: 'amd64',
        os: 'linux',
        created: '2024-01-01T00:00:00Z',
        config: {
          Env: ['A=b'],
          Cmd: ['sh'],
          Volumes: { '/v': {} },
          Labels: { a: 'b' },
          ExposedPorts: { '80/tcp': {} },
        },
        rootfs: { type: 'layers', diff_ids: [DIGEST] },
        history: [{ created_by: 'x', empty_layer: false }],
      },
    ].map((value) => Buffer.from(JSON.stringify(value))),
    run: (input) => void chainIds(parseImageConfig(input).rootfs.diff_ids),
  },
  {
    name: 'filters',
    refusals: ['Error'],
    words: [...JSON_WORDS, '"label":', '"status":', '["a=b"]', '{"a":true}'],
    seeds: ['{"label":["a=b","c"],"status":["running"]}', '{"label":{"a=b":true}}'].map(bytes),
    run: (input) => void parseFilters(input.toString('utf8')),
  },
];
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: variables of Dockerfiles
