/**
 * The table of routes: method and path pattern to handler. Patterns are the API definition's: `{name}` stands for one
 * path segment, `{name:.*}` for any number (image names hold slashes). A leading `/v1.NN` is taken off before the
 * match and checked against the versions that are served.
 */

import { API_VERSION, compareApiVersions, MIN_API_VERSION } from '../api/version.ts';
import { InvalidParameterError, NotFoundError, NotImplementedError } from '../base/errors.ts';
import type { ApiRequest } from './request.ts';
import type { ApiResponse } from './response.ts';

export type Handler = (request: ApiRequest, response: ApiResponse) => Promise<void> | void;

export interface Route {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  handle: Handler;
  /** Told to the audit log before it is handled. */
  audit?: string;
}

export interface RouteMatch {
  handle: Handler;
  /** Name of the operation, where it is one for the audit log. */
  audit: string | undefined;
  params: Record<string, string>;
}

interface CompiledRoute extends Route {
  pattern: RegExp;
}

export class Router {
  readonly #routes: CompiledRoute[];

  constructor(routes: readonly Route[]) {
    this.#routes = routes.map((route) => ({ ...route, pattern: compile(route.path) }));
  }

  /**
   * The handler of a request, its path without version. Throws NotFound ("page not found", as Docker) for a path
   * that the API does not have.
   */
  match(method: string, path: string): RouteMatch {
    for (const route of this.#routes) {
      if (route.method !== method && !(method === 'HEAD' && route.method === 'GET')) continue;
      const found = route.pattern.exec(path);
      if (found === null) continue;
      return { handle: route.handle, audit: route.audit, params: decodeParams(found.groups ?? {}) };
    }
    throw new NotFoundError('page not found');
  }
}

/** A handler for an operation of the API that this engine does not have yet: 501 that names it. */
export function notImplemented(method: Route['method'], path: string): Route {
  return {
    method,
    path,
    handle: () => {
      throw new NotImplementedError(`${method} ${path} is not implemented by mydock`);
    },
  };
}

/** Splits `/v1.41/containers/json` into version (`API_VERSION` where absent) and path. */
export function splitVersion(pathname: string): { version: string; path: string } {
  const found = /^\/v(\d+\.\d+)(\/.*)$/.exec(pathname);
  if (found === null) return { version: API_VERSION, path: pathname };
  const version = found[1] ?? '';
  if (compareApiVersions(version, MIN_API_VERSION) < 0) {
    throw new InvalidParameterError(
      `client version ${version} is too old. Minimum supported API version is ${MIN_API_VERSION}, please upgrade your client to a newer version`,
    );
  }
  if (compareApiVersions(version, API_VERSION) > 0) {
    throw new InvalidParameterError(
      `client version ${version} is too new. Maximum supported API version is ${API_VERSION}`,
    );
  }
  return { version, path: found[2] ?? '/' };
}

function compile(path: string): RegExp {
  const source = path
    .split(/(\{[^}]+\})/)
    .map((part) => {
      const parameter = /^\{(\w+)(:\.\*)?\}$/.exec(part);
      if (parameter === null) return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      return `(?<${parameter[1]}>${parameter[2] === undefined ? '[^/]+' : '.*'})`;
    })
    .join('');
  return new RegExp(`^${source}$`);
}

function decodeParams(groups: Record<string, string>): Record<string, string> {
  const params: Record<string, string> = {};
  for (const [name, raw] of Object.entries(groups)) {
    try {
      params[name] = decodeURIComponent(raw);
    } catch (error) {
      throw new InvalidParameterError(`invalid path parameter ${name} "${raw}"`, error);
    }
  }
  return params;
}
