// `flotilla shadow`: looks at the shadow of a device, changes what is desired of it, and watches
// it; with the service of a run, one of your own, or AWS's (--aws).

import { randomUUID } from 'node:crypto';
import {
  type Argv,
  type Command,
  CommandError,
  type CommandGroup,
  JSON_OPTION,
  readText,
  untilInterrupted,
} from '@flotilla/command-line';
import { parseDuration } from '@flotilla/command-line/quantities';
import {
  AWS_FAMILY,
  type Connection,
  decodeDocument,
  encodeDocument,
  OWN_FAMILY,
  openConnection,
  subscribe,
  type TopicFamily,
  type Tree,
  treeOf,
  type Value,
} from '@flotilla/ota-server/shadow';
import { TopicTemplate } from '@flotilla/sdk/mqtt/topic-template';
import { reasonOf } from '@flotilla/sdk/node';
import { resolveTarget } from '../live/preflight.ts';
import { hidePassword, parseBrokerUrl } from '../scenario/broker-url.ts';
import type { Broker } from '../scenario/schema.ts';

interface ShadowArguments {
  device: string;
  broker: string;
  topics?: string;
  aws: boolean;
  username?: string;
  password?: string;
  ca?: string;
  certificate?: string;
  key?: string;
  verify: boolean;
  timeout: string;
  json: boolean;
}

interface SetArguments extends ShadowArguments {
  values: string[];
}

const VARIABLE = /\$\{(\w+)\}/g;
/** The certificates that a system trusts are some 220 KB. */
const PEM_SIZE_MAX = 1024 * 1024;
/** Nobody waits longer for an answer. */
const TIMEOUT_MS_MAX = 3_600_000;

const getCommand: Command<ShadowArguments> = {
  command: 'get <device>',
  describe: 'Print the shadow of a device',
  builder: (command) =>
    options(command)
      .example('$0 shadow get r1-meters-0 --broker mqtt://127.0.0.1', 'its whole document')
      .example('$0 shadow get pump --broker mqtts://HOST --ca ca.pem --aws', 'AWS topics and JSON'),
  handler: async (args) => {
    const { device, json } = args;
    const document = await withConnection(args, (connection) => connection.ask('get', {}));
    console.log(JSON.stringify(shown(document, device), undefined, json ? undefined : 2));
  },
};

const setCommand: Command<SetArguments> = {
  command: 'set <device> <values..>',
  describe: 'Change what is desired of a device: key=value, key=null removes',
  builder: (command) =>
    options(command)
      .positional('values', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'key=value; the value is JSON where it parses, else text',
      })
      .check(({ values }) => {
        for (const text of values as string[]) {
          if (text.indexOf('=') < 1) throw new Error(`expected key=value, got ${text}`);
        }
        return true;
      })
      .example('$0 shadow set pump reportingInterval=2 --broker mqtt://127.0.0.1', 'a number')
      .example('$0 shadow set pump \'led={"on":true}\' mode=null --broker …', 'merged; removed')
      .epilogue(
        'A shadow changes when the service has accepted it, the device when it reports it: ' +
          '`flotilla shadow watch` shows that.',
      ),
  handler: async (args) => {
    const { device, json, values } = args;
    const body = { state: treeOf({ desired: desiredOf(values) }) };
    const document = await withConnection(args, (connection) => connection.ask('update', body));
    if (json) console.log(JSON.stringify(document));
    else console.log(`${device}: accepted, version ${document.version}`);
  },
};

const watchCommand: Command<ShadowArguments> = {
  command: 'watch <device>',
  describe: 'Print every change of a shadow until Ctrl-C',
  builder: (command) =>
    options(command)
      .example('$0 shadow watch pump --broker mqtt://127.0.0.1', 'deltas and documents')
      .example('$0 shadow watch pump --broker … --json | jq .', 'one JSON text per line'),
  handler: async (args) => {
    await withConnection(args, async (connection) => {
      await connection.listen(['update/delta', 'update/documents', 'delete/accepted'], (...heard) =>
        console.log(args.json ? asJson(...heard) : asLine(...heard)),
      );
      if (!args.json) console.log(`watching ${connection.place}; Ctrl-C ends`);
      await untilInterrupted();
    });
  },
};

export const shadowCommand: CommandGroup = {
  name: 'shadow',
  describe: 'Look at, change or watch the shadow of a device',
  commands: [getCommand, setCommand, watchCommand],
};

function options(command: Argv): Argv {
  return (
    command
      .positional('device', { type: 'string', demandOption: true, describe: 'Id of the device' })
      .option('broker', {
        type: 'string',
        demandOption: true,
        describe: 'mqtt://host[:port] or mqtts://…, with user:password@ if wanted',
      })
      .option('topics', {
        type: 'string',
        describe: `Topic template with {id} and {topic}; default: ${OWN_FAMILY.topics}`,
      })
      .option('aws', {
        type: 'boolean',
        default: false,
        describe: `AWS’s topics (${AWS_FAMILY.topics}) and JSON`,
      })
      .option('username', { type: 'string', describe: 'User of the broker' })
      // biome-ignore lint/suspicious/noTemplateCurlyInString: this is what people type.
      .option('password', { type: 'string', describe: "Best given as '${BROKER_PASSWORD}'" })
      .option('ca', { type: 'string', describe: 'PEM file of trusted certificates' })
      .option('certificate', { type: 'string', describe: 'PEM file of the client certificate' })
      .option('key', { type: 'string', describe: 'PEM file of the client key' })
      .option('verify', {
        type: 'boolean',
        default: true,
        describe: '--no-verify takes any certificate: tests only',
      })
      .option('timeout', {
        type: 'string',
        default: '5s',
        describe: 'How long to wait: 500ms, 30s',
      })
      .option('json', { ...JSON_OPTION, describe: 'Print JSON, one text per line' })
      .check((args) => {
        check(args as unknown as ShadowArguments);
        return true;
      })
  );
}

/** Throws the first mistake, for yargs to tell. */
function check(args: ShadowArguments): void {
  const { aws, broker, device, timeout, topics } = args;
  if (!/^[^/+#\0]+$/.test(device)) {
    throw new Error(`expected the id of a device without / + and #, got ${device}`);
  }
  const parsed = parseBrokerUrl(expand('broker', broker));
  if (parsed === undefined) {
    throw new Error(`--broker: expected mqtt://host[:port], got ${hidePassword(broker)}`);
  }
  for (const name of ['ca', 'certificate', 'key'] as const) {
    if (args[name] !== undefined && parsed.tls === undefined) {
      throw new Error(`--${name}: is for TLS only: the url begins with mqtt://, not mqtts://`);
    }
  }
  if ((args.certificate === undefined) !== (args.key === undefined)) {
    throw new Error('--certificate and --key: one is of no use without the other');
  }
  for (const name of ['username', 'password'] as const) expand(name, args[name] ?? '');
  if (aws && topics !== undefined)
    throw new Error('--aws: has topics of its own, without --topics');
  if (topics !== undefined) templateOf(topics);
  const timeoutMs = parseDuration(timeout);
  if (timeoutMs === undefined || timeoutMs < 1 || timeoutMs > TIMEOUT_MS_MAX) {
    throw new Error(`--timeout: expected a duration such as 500ms or 30s, got ${timeout}`);
  }
}

function templateOf(topics: string): TopicTemplate {
  try {
    return new TopicTemplate(topics);
  } catch (error) {
    throw new Error(`--topics: ${(error as Error).message}`);
  }
}

/** Replaces `${NAME}` by the environment's; throws where there is none of that name. */
function expand(option: string, text: string): string {
  return text.replaceAll(VARIABLE, (_whole, name: string) => {
    const value = process.env[name];
    if (value === undefined) {
      throw new Error(`--${option}: the environment variable ${name} is not set`);
    }
    return value;
  });
}

/** The patch that `key=value` arguments mean. */
function desiredOf(values: readonly string[]): Tree {
  const members: Record<string, Value> = Object.create(null);
  for (const text of values) {
    const at = text.indexOf('=');
    members[text.slice(0, at)] = parsedValue(text.slice(at + 1));
  }
  return members;
}

function parsedValue(text: string): Value {
  try {
    return JSON.parse(text) as Value;
  } catch {
    return text;
  }
}

function brokerOf(args: ShadowArguments): Broker {
  const broker = parseBrokerUrl(expand('broker', args.broker))!;
  const { username = broker.username, password = broker.password } = args;
  const read = (name: 'ca' | 'certificate' | 'key') =>
    args[name] === undefined ? {} : { [name]: readText(args[name], PEM_SIZE_MAX) };
  const tls = { ...read('ca'), ...read('certificate'), ...read('key'), verify: args.verify };
  return {
    ...broker,
    ...(username === undefined ? {} : { username: expand('username', username) }),
    ...(password === undefined ? {} : { password: expand('password', password) }),
    ...(broker.tls === undefined ? {} : { tls }),
  };
}

/** One device's shadow topics at a broker. */
class ShadowConnection {
  /** For messages. */
  readonly place: string;
  private readonly client: Connection;
  private readonly id: string;
  private readonly topics: TopicTemplate;
  private readonly family: TopicFamily;
  private readonly timeoutMs: number;
  private readonly take: Map<string, (document: Tree) => void>;

  constructor(
    client: Connection,
    args: ShadowArguments,
    family: TopicFamily,
    url: string,
    take: Map<string, (document: Tree) => void>,
  ) {
    this.client = client;
    this.id = args.device;
    this.family = family;
    this.topics = new TopicTemplate(family.topics);
    this.timeoutMs = parseDuration(args.timeout)!;
    this.place = `${this.topics.format(this.id, 'shadow')} at ${url}`;
    this.take = take;
  }

  /** Sends a request and resolves with the accepted document; rejects with a CommandError. */
  async ask(kind: 'get' | 'update', body: Readonly<Record<string, Value>>): Promise<Tree> {
    const token = randomUUID();
    const { promise, reject, resolve } = Promise.withResolvers<Tree>();
    const names = [`${kind}/accepted`, `${kind}/rejected`];
    await this.listen(names, (name, document) => {
      // Others ask too.
      if (document.clientToken !== token) return;
      if (name.endsWith('accepted')) resolve(document);
      else reject(new CommandError(this.rejectionText(document)));
    });
    const request = treeOf({ ...body, clientToken: token });
    const sent = this.client.publishAsync(this.topicOf(kind), this.encode(request), { qos: 1 });
    await this.within(sent, 'the broker did not acknowledge the request');
    return await this.within(promise, `no shadow service answered at ${this.place}`);
  }

  /** Hears the messages of these names from now on. */
  async listen(
    names: readonly string[],
    hear: (name: string, document: Tree) => void,
  ): Promise<void> {
    for (const name of names) {
      this.take.set(this.topicOf(name), (document) => hear(name, document));
    }
    const subscribed = subscribe(
      this.client,
      names.map((name) => this.topicOf(name)),
    ).catch((error: Error) => {
      throw new CommandError(`${this.place}: ${error.message}`);
    });
    await this.within(subscribed, 'the broker did not answer the subscription');
  }

  private encode(request: Tree): Buffer {
    try {
      return encodeDocument(request, this.family.encoding);
    } catch {
      throw new CommandError('the values are too large, or nested too deep, for a shadow');
    }
  }

  private topicOf(name: string): string {
    return this.topics.format(this.id, `shadow/${name}`);
  }

  private rejectionText({ code, message }: Tree): string {
    return code === 404
      ? `${this.id} has no shadow at ${this.place}`
      : `${this.id}: rejected with ${code}: ${message}`;
  }

  private within<T>(promise: Promise<T>, what: string): Promise<T> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const message = `${what} within ${this.timeoutMs} ms`;
    const timer = setTimeout(() => reject(new CommandError(message)), this.timeoutMs);
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
  }
}

async function withConnection<T>(
  args: ShadowArguments,
  act: (connection: ShadowConnection) => Promise<T>,
): Promise<T> {
  const broker = brokerOf(args);
  const family = args.aws
    ? AWS_FAMILY
    : { ...OWN_FAMILY, topics: args.topics ?? OWN_FAMILY.topics };
  const target = await resolveTarget(broker);
  const take = new Map<string, (document: Tree) => void>();
  const client = await openConnection(target, {
    clientId: `flotilla-shadow-${randomUUID().slice(0, 6)}`,
    clean: true,
    onMessage: (_client, topic, payload) => {
      // A document that is none is not the service's.
      const { body } = decodeDocument(payload, family.encoding);
      if (typeof body === 'object' && body !== null) take.get(topic)?.(body as Tree);
    },
  }).catch((error: Error) => {
    throw new CommandError(`${broker.url}: ${reasonOf(error)}`);
  });
  try {
    return await act(new ShadowConnection(client, args, family, broker.url, take));
  } finally {
    await client.endAsync(true);
  }
}

/** The document of a get without what only the protocol needs. */
function shown({ metadata, state, timestamp, version }: Tree, device: string): object {
  return { device, version, timestamp, state, metadata };
}

function asJson(name: string, document: Tree): string {
  return JSON.stringify({ name, document });
}

function asLine(name: string, document: Tree): string {
  if (name === 'delete/accepted') return `deleted at version ${document.version}`;
  if (name === 'update/delta') {
    return `delta    ${document.version}: ${JSON.stringify(document.state)}`;
  }
  const { state, version } = document.current as Tree;
  return `document ${version}: ${JSON.stringify(state)}`;
}
