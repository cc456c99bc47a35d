// Broker addresses as URLs: mqtt://host[:port] and mqtts://host[:port], with or without
// credentials, as every MQTT tool takes them.

import type { Broker } from './schema.ts';

/** The parts of a broker URL, or undefined when it is none. */
export function parseBrokerUrl(text: string): Broker | undefined {
  const url = URL.parse(text);
  if (url === null || !/^mqtts?:$/.test(url.protocol) || url.hostname === '') return undefined;
  if (!/^\/?$/.test(url.pathname) || url.search !== '' || url.hash !== '') return undefined;
  const secure = url.protocol === 'mqtts:';
  const port = url.port === '' ? (secure ? 8883 : 1883) : Number(url.port);
  if (port === 0) return undefined;
  try {
    return {
      url: `${url.protocol}//${url.hostname}:${port}`,
      // An IPv6 address is in brackets in a URL only.
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port,
      ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
      ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
      ...(secure ? { tls: { verify: true } } : {}),
    };
  } catch {
    return undefined; // A stray % in the credentials.
  }
}

/** A URL without its password, for messages; other values as they are. */
export function hidePassword(value: unknown): unknown {
  return typeof value === 'string' ? value.replace(/(\/\/[^/@]*?:)[^/]*@/, '$1***@') : value;
}
