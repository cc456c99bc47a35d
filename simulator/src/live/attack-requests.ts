// Attacks on the OTA server itself, with what the owner of one device has: another device's URL, an
// altered one, another device's name in a report.

import { decodeCheckResponse, encodeCheck, encodeReport } from '@flotilla/ota-server/device-api';
import type { CatalogueImage } from '../firmware/catalogue.ts';
import type { AttackLog } from './attack-log.ts';

export interface AttackerOptions {
  /** Of the server. */
  readonly url: string;
  readonly log: AttackLog;
  /** What the victims run. */
  readonly image: CatalogueImage;
  tokenOf(id: string): string;
}

export class Attacker {
  private readonly options: AttackerOptions;

  constructor(options: AttackerOptions) {
    this.options = options;
  }

  /** Downloads what was offered to `victim`: as another device, later, and something else. */
  async abuseUrl(victim: string, other: string): Promise<void> {
    const { log } = this.options;
    const path = await this.offeredPath(victim);
    if (path === undefined) return;
    log.begun('url-abuse', victim);
    const forms = [
      { path, token: other },
      { path, token: undefined },
      { path: path.replace(/expires=\d+/, 'expires=4102444800'), token: victim },
      { path: path.replace(victim, other), token: other },
      { path: path.replace(/blobs\/[0-9a-f]{8}/, 'blobs/00000000'), token: victim },
    ];
    const statuses = await Promise.all(
      forms.map(({ path: altered, token }) => this.statusOf('GET', altered, token)),
    );
    const isRefused = statuses.every((status) => status === 401 || status === 403);
    if (isRefused) log.stopped('url-abuse', victim, `server: ${wordsOf(statuses)}`);
    else log.succeeded('url-abuse', victim);
  }

  /** Says of `victim` that its update failed, as another device and as nobody. */
  async forgeReport(victim: string, other: string): Promise<void> {
    const { log } = this.options;
    log.begun('forged-reports', victim);
    const rollout = 'forged';
    const body = encodeReport({ rollout, attempt: 1, stage: 'failed', reason: 'forged' });
    const path = `/v1/devices/${victim}/report`;
    const statuses = await Promise.all([
      this.statusOf('POST', path, other, body),
      this.statusOf('POST', path, undefined, body),
    ]);
    const isRefused = statuses.every((status) => status === 401 || status === 403);
    if (isRefused) log.stopped('forged-reports', victim, `server: ${wordsOf(statuses)}`);
    else log.succeeded('forged-reports', victim);
  }

  /** The URL that the server signed for a device; undefined when it offers nothing. */
  private async offeredPath(id: string): Promise<string | undefined> {
    const { image, tokenOf, url } = this.options;
    const body = encodeCheck({
      version: image.version,
      digest: image.sha256,
      sequence: 0,
      uptimeS: 1,
      abnormalResets: 0,
    });
    const answer = await fetch(`${url}/v1/devices/${id}/check`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tokenOf(id)}`, 'content-type': 'application/cbor' },
      body: Buffer.from(body),
    });
    if (!answer.ok) return undefined;
    const { update } = decodeCheckResponse(new Uint8Array(await answer.arrayBuffer()));
    return update?.sources.at(-1)?.url;
  }

  /** `as`: whose token goes with it. */
  private async statusOf(
    method: 'GET' | 'POST',
    path: string,
    as: string | undefined,
    body?: Uint8Array,
  ): Promise<number> {
    const { tokenOf, url } = this.options;
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(as === undefined ? {} : { authorization: `Bearer ${tokenOf(as)}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/cbor' }),
      },
      ...(body === undefined ? {} : { body: Buffer.from(body) }),
    });
    await answer.body?.cancel();
    return answer.status;
  }
}

function wordsOf(statuses: readonly number[]): string {
  return [...new Set(statuses)].sort((a, b) => a - b).join(' and ');
}
