// Requests to URLs that a server chose: what a platform cannot make sense of is no exception here.

import {
  type HttpHandlers,
  type HttpRequest,
  type HttpRequestOptions,
  type Platform,
  PowerLoss,
  type TlsOptions,
} from '../platform.ts';

/** Undefined when the platform refuses the request, by its URL or a header. */
export function openRequest(
  platform: Platform,
  options: HttpRequestOptions,
  handlers: HttpHandlers,
  target: unknown,
): HttpRequest | undefined {
  const { http } = platform;
  if (http === undefined) return undefined;
  try {
    return http.request(options, handlers, target);
  } catch (error) {
    if (error instanceof PowerLoss) throw error;
    return undefined;
  }
}

/** The request with the options of TLS, where there are any. */
export function withTls(
  options: HttpRequestOptions,
  tls: TlsOptions | undefined,
): HttpRequestOptions {
  if (tls === undefined) return options;
  const { body, headers, method, url } = options;
  return body === undefined ? { method, url, headers, tls } : { method, url, headers, body, tls };
}

/** True for an absolute `http:` or `https:` URL of visible ASCII, without user information. */
export function isHttpUrl(url: string): boolean {
  return /^https?:\/\/([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(\/[!-~]*)?$/.test(url);
}
