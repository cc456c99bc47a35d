// What commands say to a server: its HTTP API, with an admin key.

import { existsSync } from 'node:fs';
import { type Argv, CommandError, JSON_OPTION, readText } from '@flotilla/command-line';

export interface ServerArguments {
  server: string;
  apiKey?: string;
  json: boolean;
}

const KEY_VARIABLE = 'FLOTILLA_OTA_KEY';
const SERVER_DEFAULT = 'http://127.0.0.1:8080';
/** Where `serve` without arguments leaves the key, in the same folder. */
const KEY_FILE = 'data/admin.key';

/** The options that every command which talks to a server has. */
export function serverOptions(command: Argv): Argv {
  return command
    .option('server', {
      type: 'string',
      default: SERVER_DEFAULT,
      describe: 'URL of the server',
    })
    .option('api-key', {
      type: 'string',
      describe: `Admin key; default: ${KEY_VARIABLE}, or ${KEY_FILE} for the default server`,
    })
    .option('json', JSON_OPTION)
    .check(({ server }) => {
      if (URL.canParse(server) && /^https?:/.test(server)) return true;
      throw new Error(`--server: expected http://host:port, got ${server}`);
    });
}

export class ApiClient {
  private readonly server: string;
  private readonly key: string;

  /** Throws a CommandError when there is no key. */
  constructor({ apiKey, server }: ServerArguments) {
    this.server = server.replace(/\/+$/, '');
    const isDefault = this.server === SERVER_DEFAULT;
    const file = isDefault && existsSync(KEY_FILE) ? readText(KEY_FILE).trim() : undefined;
    const key = apiKey ?? process.env[KEY_VARIABLE] ?? file;
    if (key === undefined || key === '') {
      throw new CommandError(`no admin key: give --api-key, or set ${KEY_VARIABLE}`);
    }
    this.key = key;
  }

  get(path: string): Promise<unknown> {
    return this.request('GET', path, {});
  }

  post(path: string, json?: object): Promise<unknown> {
    if (json === undefined) return this.request('POST', path, {});
    return this.request('POST', path, { 'content-type': 'application/json' }, JSON.stringify(json));
  }

  send(method: 'POST' | 'PUT', path: string, type: string, bytes: Uint8Array): Promise<unknown> {
    return this.request(method, path, { 'content-type': type }, bytes as Uint8Array<ArrayBuffer>);
  }

  /** The answer's JSON; throws a CommandError with what the server says is wrong. */
  private async request(
    method: string,
    path: string,
    headers: Record<string, string>,
    body?: string | Uint8Array<ArrayBuffer>,
  ): Promise<unknown> {
    const authorization = `Bearer ${this.key}`;
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.server + path, {
        method,
        headers: { ...headers, authorization },
        ...(body === undefined ? {} : { body }),
      });
      text = await response.text();
    } catch (error) {
      const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
      const why = cause?.code === 'ECONNREFUSED' ? 'nothing answers there' : cause?.message;
      const hint = 'is flotilla-ota serve running?';
      throw new CommandError(`${this.server}: ${why ?? (error as Error).message}; ${hint}`);
    }
    const answer = parse(text);
    if (response.ok) return answer;
    const detail = (answer as { detail?: unknown } | undefined)?.detail;
    throw new CommandError(
      typeof detail === 'string'
        ? detail
        : `${this.server} answered ${response.status}: is it a flotilla-ota server?`,
    );
  }
}

function parse(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
