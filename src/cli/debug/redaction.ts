/**
 * What a debug bundle leaves out. Two rules, so that neither has to be complete: values of fields that hold secrets are
 * replaced where they stand, and every value that was replaced is looked for in all other texts of the bundle (logs
 * repeat what they were given). Names stay: which variables, labels and options there are is what a report needs.
 */

export const REDACTED = '***';

/** Values of these are maps or lists whose values may be anything a user has chosen; keys stay. */
const VALUES = new Set([
  'Labels',
  'Annotations',
  'Options',
  'DriverOpts',
  'DriverOptions',
  'StorageOpt',
  'Sysctls',
  'LogOpts',
  'BuildArgs',
  'GenericResources',
]);
/** Words of a program's command line after the first one. */
const COMMANDS = new Set(['Cmd', 'Entrypoint', 'Args', 'Test', 'Shell', 'OnBuild']);
/** What a program or user has written. */
const TEXTS = new Set([
  'Output',
  'Comment',
  'Author',
  'HttpProxy',
  'HttpsProxy',
  'NoProxy',
  'CreatedBy',
  'Command',
]);
/** Folders of the host: the first part stays. */
const PATHS = new Set(['Source', 'ConfigFile', 'SeccompProfile', 'IdentityFile', 'Device']);
const SECRET_NAME = /pass(word|wd)?|secret|token|credential|auth(?!or)|api_?key|private_?key/i;

/** Variables of every container, which are no secrets and would make texts unreadable. */
const PLAIN_VARIABLES = new Set(['PATH', 'HOME', 'LANG', 'TERM', 'HOSTNAME', 'TZ', 'PWD']);
/** Shorter values are too common to be looked for elsewhere. */
const VALUE_MIN_LENGTH = 6;

export class Redaction {
  readonly #values = new Set<string>();

  /** A copy of an answer of the API without what may be secret. */
  object(value: unknown, key = ''): unknown {
    if (Array.isArray(value)) return this.#list(value, key);
    if (typeof value === 'object' && value !== null) {
      const entries = Object.entries(value);
      if (VALUES.has(key)) return Object.fromEntries(entries.map(([name, one]) => [name, this.#hide(one)]));
      // LogConfig is the driver's name and its options.
      const isLog = key === 'LogConfig';
      return Object.fromEntries(
        entries.map(([name, one]) => [name, this.object(one, isLog && name === 'Config' ? 'Options' : name)]),
      );
    }
    return typeof value === 'string' ? this.#text(value, key) : value;
  }

  /** A text with all values that were hidden so far replaced, and what looks like a secret by itself. */
  text(text: string): string {
    let cleaned = redactPatterns(text);
    for (const value of [...this.#values].sort((left, right) => right.length - left.length)) {
      cleaned = cleaned.replaceAll(value, REDACTED);
    }
    return cleaned;
  }

  #list(values: unknown[], key: string): unknown[] {
    if (key === 'Env') return values.map((one) => this.#variable(String(one)));
    if (key === 'Binds') return values.map((one) => this.#bind(String(one)));
    if (VALUES.has(key)) return values.map((one) => this.#hide(one));
    if (!COMMANDS.has(key)) return values.map((one) => this.object(one, key));
    // The first word of a health check says only how the rest is run.
    return values.map((one, index) => (index === 0 ? this.#program(String(one)) : this.#hide(one)));
  }

  /** Somebody may have given a whole command line as the program's name. */
  #program(name: string): string {
    const [word = ''] = name.split(/\s/, 1);
    if (word === name) return redactPatterns(name);
    this.#remember(name);
    return `${word} ${REDACTED}`;
  }

  /** What a step of a build does: its number and instruction stay. */
  #step(title: string): string {
    const [, head = '', rest = ''] = /^((?:\[[^\]]*\] *)?[A-Z]*\b *)([\s\S]*)$/.exec(title) ?? [];
    return `${head}${this.#hide(rest || (head === '' ? title : ''))}`;
  }

  #variable(line: string): string {
    const name = line.split('=', 1)[0] ?? '';
    const value = line.slice(name.length + 1);
    if (PLAIN_VARIABLES.has(name) && !SECRET_NAME.test(name)) return redactPatterns(line);
    return `${name}=${this.#hide(value)}`;
  }

  #bind(bind: string): string {
    const [source = '', ...rest] = bind.split(':');
    return [this.#path(source), ...rest].join(':');
  }

  #text(value: string, key: string): string {
    if (key === 'Path') return this.#program(value);
    if (key === 'Description') return this.#step(value);
    if (TEXTS.has(key) || SECRET_NAME.test(key)) return this.#hide(value);
    return PATHS.has(key) ? this.#path(value) : redactPatterns(value);
  }

  #path(path: string): string {
    const [first, second = ''] = path.split('/').filter((part) => part !== '');
    if (!path.startsWith('/') || first === undefined || second === '') return path;
    // The engine's own folders say which volume or container it is.
    if (/^\/(var\/lib|run)\/mydock/.test(path)) return path;
    this.#remember(path);
    return `/${first}/${REDACTED}`;
  }

  #hide(value: unknown): string {
    const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
    if (text === '' || text === 'null') return '';
    this.#remember(text);
    return REDACTED;
  }

  #remember(text: string): void {
    if (text.length >= VALUE_MIN_LENGTH) {
      this.#values.add(text);
      // As it stands in files of JSON, such as the log.
      this.#values.add(JSON.stringify(text).slice(1, -1));
    }
    // The password of an address is one wherever it stands.
    for (const match of text.matchAll(/:\/\/[^\s/@]*:([^\s/@]{4,})@/g)) this.#values.add(match[1] ?? text);
  }
}

/** Users and passwords in addresses, options and headers, whoever wrote them. */
export function redactPatterns(text: string): string {
  return (
    text
      .replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/@"']*@/gi, `$1${REDACTED}@`)
      // Without a scheme; an image's name:tag@digest is none.
      .replace(/(?<![\w.%+/-])[\w.%+-]+:[^\s/@"'\\]+@(?!sha\d+:)(?=[\w[])/g, `${REDACTED}@`)
      .replace(
        /\b((?:pass(?:word|wd)?|secret|token|credentials?|username|api_?key)\\?["']?\s*[=:]\s*\\?["']?)[^\s,;"'\\&]+/gi,
        `$1${REDACTED}`,
      )
      .replace(/\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}/gi, `$1 ${REDACTED}`)
      .replace(/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, REDACTED)
  );
}
