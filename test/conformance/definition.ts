/**
 * The Engine API's definition (Swagger 2.0), read from a file that is no part of the project, and its schemas as JSON
 * Schema 2019-09 for ajv. Swagger's `x-nullable` becomes a type `null`; an object whose fields are listed is closed,
 * so that a misspelt field of an answer is found as well as a missing one.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { AnySchema } from 'ajv';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { parse } from 'yaml';

const ROOT = resolve(import.meta.dirname, '../..');

type Json = Record<string, unknown>;

export interface DefinedResponse {
  readonly schema?: Json;
  readonly headers?: Record<string, Json>;
}

export interface Operation {
  /** `GET /containers/{id}/json` */
  readonly name: string;
  readonly method: string;
  readonly path: string;
  /** The definition's group: Container, Image, … */
  readonly group: string;
  readonly summary: string;
  readonly produces: readonly string[];
  readonly responses: ReadonlyMap<number, DefinedResponse>;
  /** Where each parameter stands: `path`, `query`, `header` or `body`. */
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
}

export interface Definition {
  readonly operations: readonly Operation[];
  /** What is wrong with a value, a line each; `schema` is as it stands in the definition. */
  check(schema: Json, value: unknown): string[];
  readonly errorSchema: Json;
}

/** Where the definition is: MYDOCK_API_DEFINITION, else the folder `shared/api` beside the checkout. */
export function definitionPath(): string | undefined {
  const named = process.env['MYDOCK_API_DEFINITION'];
  if (named !== undefined && named !== '') return named;
  const beside = join(ROOT, '../shared/api/docker-engine-v1.51.yaml');
  return existsSync(beside) ? beside : undefined;
}

interface Swagger {
  readonly produces?: string[];
  readonly definitions: Record<string, Json>;
  readonly paths: Record<string, Record<string, SwaggerOperation>>;
}

interface SwaggerOperation {
  readonly tags?: string[];
  readonly summary?: string;
  readonly produces?: string[];
  readonly responses: Record<string, DefinedResponse>;
  readonly parameters?: { name: string; in: string }[];
}

export function readDefinition(path: string): Definition {
  const swagger = parse(readFileSync(path, 'utf8'), { merge: true }) as Swagger;
  const operations = Object.entries(swagger.paths).flatMap(([route, methods]) =>
    Object.entries(methods).map(([method, operation]) => toOperation(route, method, operation)),
  );
  // Formats name Go types, which say nothing more than the type does; examples and x- keywords are not ours to judge.
  const ajv = new Ajv2019({ strict: false, validateFormats: false, allErrors: true, logger: false });
  const definitions: Json = {};
  for (const [name, schema] of Object.entries(swagger.definitions)) {
    definitions[name] = toJsonSchema(schema, true);
    definitions[`${name}-open`] = toJsonSchema(schema, false);
  }
  ajv.addSchema({ $id: 'engine', definitions } as AnySchema);
  const compiled = new Map<Json, ReturnType<typeof ajv.compile>>();
  return {
    operations,
    errorSchema: { $ref: '#/definitions/ErrorResponse' },
    check: (schema, value) => {
      const validate = compiled.get(schema) ?? ajv.compile(toJsonSchema(schema, true) as AnySchema);
      compiled.set(schema, validate);
      if (validate(value)) return [];
      return (validate.errors ?? []).map(({ instancePath, message, params }) => {
        const field = (params as Json)['unevaluatedProperty'];
        return `${instancePath || '/'}: ${message}${typeof field === 'string' ? ` (${field})` : ''}`;
      });
    },
  };
}

function toOperation(path: string, method: string, operation: SwaggerOperation): Operation {
  const upper = method.toUpperCase();
  return {
    name: `${upper} ${path}`,
    method: upper,
    path,
    group: operation.tags?.[0] ?? '',
    summary: operation.summary ?? '',
    produces: operation.produces ?? [],
    responses: new Map(Object.entries(operation.responses).map(([code, value]) => [Number(code), value])),
    parameters: operation.parameters ?? [],
  };
}

/** `closed`: fields that the schema does not name are wrong. Parts of an `allOf` are open, the whole is closed. */
function toJsonSchema(schema: Json, closed: boolean): Json {
  const reference = schema['$ref'];
  if (typeof reference === 'string') {
    const target = { $ref: `engine${reference}${closed ? '' : '-open'}` };
    return schema['x-nullable'] === true ? { anyOf: [target, { type: 'null' }] } : target;
  }
  const result: Json = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'properties') result[key] = mapValues(value as Record<string, Json>);
    else if (key === 'items') result[key] = toJsonSchema(value as Json, true);
    else if (key === 'allOf') result[key] = (value as Json[]).map((part) => toJsonSchema(part, false));
    else if (key === 'additionalProperties' && typeof value === 'object')
      result[key] = toJsonSchema(value as Json, true);
    else if (['type', 'enum', 'required', 'minimum', 'maximum', 'minItems', 'maxItems'].includes(key))
      result[key] = value;
  }
  const listsFields = 'properties' in schema || 'allOf' in schema;
  if (closed && listsFields && !('additionalProperties' in schema)) result['unevaluatedProperties'] = false;
  return schema['x-nullable'] === true ? { anyOf: [result, { type: 'null' }] } : result;
}

function mapValues(properties: Record<string, Json>): Json {
  return Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [name, toJsonSchema(schema, true)]),
  );
}
