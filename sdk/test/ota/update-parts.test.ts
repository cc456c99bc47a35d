// The parts of the update client one by one: options, answers of a server, dates, the slot.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { writeValue } from '../../src/codec/cbor-value.ts';
import { parseHttpDate } from '../../src/ota/http-date.ts';
import { readOffer } from '../../src/ota/offer.ts';
import { isHttpUrl } from '../../src/ota/open-request.ts';
import { SlotWriter } from '../../src/ota/slot-writer.ts';
import { deferMs } from '../../src/ota/update-conditions.ts';
import { type UpdateOptions, UpdateProfile } from '../../src/ota/update-profile.ts';
import { UpdateRecord } from '../../src/ota/update-state.ts';
import { Nor } from '../buffer/nor.ts';
import { CLASS, KEY, VENDOR } from '../support/update-scene.ts';
import { MemorySettings, VirtualPlatform } from '../support/virtual-platform.ts';

const OPTIONS: UpdateOptions<unknown> = {
  url: 'https://ota.example/base',
  token: 'secret',
  vendorId: VENDOR,
  classId: CLASS,
  keys: [KEY.trusted],
};

describe('options', () => {
  test.each<[Partial<UpdateOptions<unknown>>, string]>([
    [{ url: 'ftp://x' }, 'update.url'],
    [{ url: 'http://x/' }, 'update.url'],
    [{ url: 'http://x/?a' }, 'update.url'],
    [{ token: 'a\r\nb' }, 'update.token'],
    [{ vendorId: new Uint8Array(15) }, 'update.vendorId'],
    [{ classId: new Uint8Array(17) }, 'update.classId'],
    [{ keys: [] }, 'update.keys'],
    [{ pollMs: 999 }, 'update.pollMs'],
    [{ pollMs: Number.NaN }, 'update.pollMs'],
    [{ window: { startHour: 24, endHour: 1 } }, 'update.window.startHour'],
    [{ window: { startHour: 1, endHour: 1.5 } }, 'update.window.endHour'],
    [{ window: { startHour: 3, endHour: 3 } }, 'update.window.endHour'],
    [{ batteryMin: 1.1 }, 'update.batteryMin'],
    [{ healthChecks: { broker: () => true } }, 'update.healthChecks'],
    [{ healthMsMax: 0 }, 'update.healthMsMax'],
    [{ trialOfflineMsMax: 1000 }, 'update.trialOfflineMsMax'],
    [{ bytesPerSMin: 0 }, 'update.bytesPerSMin'],
    [{ downloadAttemptsMax: 0 }, 'update.downloadAttemptsMax'],
    [{ retryMsMax: 0 }, 'update.retryMsMax'],
  ])('%j is refused by name', (wrong, name) => {
    expect(() => new UpdateProfile({ ...OPTIONS, ...wrong })).toThrow(RangeError);
    expect(() => new UpdateProfile({ ...OPTIONS, ...wrong })).toThrow(name);
  });
});

describe('an answer to a check', () => {
  const update = {
    rollout: 'r',
    attempt: 1,
    version: '1.2.3',
    envelope: new Uint8Array(500).fill(7),
    sources: [
      { url: '/a', size: 10 },
      { url: '/b', size: 5, base: new Uint8Array(32), more: [1, { a: 2 }] },
    ],
    unknown: { a: [1, 2, 3] },
  };
  const encode = (value: unknown) => {
    const bytes = new Uint8Array(4096);
    return bytes.slice(0, writeValue(bytes, 0, value, 8));
  };
  const whole = encode({ nowMs: 1_767_225_600_000, pollS: 60, update, later: null });

  test('is read, whatever else is in it', () => {
    const offer = readOffer(whole, whole.length);
    expect(offer).toMatchObject({ nowMs: 1_767_225_600_000, pollS: 60, rollout: 'r', attempt: 1 });
    expect(offer?.sources.map(({ url }) => url)).toEqual(['/a', '/b']);
    expect(offer!.envelopeEnd - offer!.envelopeStart).toBe(500);
  });

  test('that is cut anywhere is none', () => {
    for (let size = 0; size < whole.length; size += 1) {
      expect(readOffer(whole, size)).toBeUndefined();
    }
  });

  test.each([
    { ...update, envelope: new Uint8Array(2049) },
    { ...update, rollout: 'r'.repeat(65) },
    { ...update, attempt: -1 },
    { ...update, version: 'v'.repeat(33) },
    { ...update, sources: [] },
    { ...update, sources: [{ url: 'u'.repeat(513), size: 1 }] },
    { ...update, sources: [{ url: '/a', size: 1, base: new Uint8Array(31) }] },
  ])('that breaks a bound is none: %#', (wrong) => {
    const bytes = encode({ nowMs: 1, pollS: 60, update: wrong });
    expect(readOffer(bytes, bytes.length)).toBeUndefined();
  });

  test('of any bytes throws nothing', () => {
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
        const bytes = whole.slice();
        bytes[at] = byte;
        readOffer(bytes, bytes.length);
      }),
    );
  });
});

describe('dates and URLs', () => {
  test('are those of RFC 9110, or none', () => {
    expect(parseHttpDate('Sun, 06 Nov 1994 08:49:37 GMT')).toBe(784111777000);
    for (const text of [
      'Sunday, 06-Nov-94 08:49:37 GMT',
      'Sun Nov  6 08:49:37 1994',
      'Sun, 06 Nov 1994 24:49:37 GMT',
      'Sun, 06 anF 1994 08:49:37 GMT',
      '',
    ]) {
      expect(parseHttpDate(text)).toBeNaN();
    }
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e9 }), (seconds) => {
        expect(parseHttpDate(new Date(seconds * 1000).toUTCString())).toBe(seconds * 1000);
      }),
    );
  });

  test('with user information, spaces or other schemes are none', () => {
    expect(isHttpUrl('https://a.b:8443/c?d=e')).toBe(true);
    expect(isHttpUrl('http://[::1]:80/')).toBe(true);
    for (const url of ['http://a@b/', 'file:///a', 'http://a b/', '//a/b', 'http:///a', 'a']) {
      expect(isHttpUrl(url)).toBe(false);
    }
  });
});

test('the window is entered at random in its first half, over midnight too', () => {
  fc.assert(
    fc.property(fc.nat(23), fc.nat(23), fc.nat(86_399_999), (startHour, endHour, ofDayMs) => {
      fc.pre(startHour !== endHour);
      const platform = new VirtualPlatform({ epochMs: 1_767_225_600_000 + ofDayMs });
      const profile = new UpdateProfile({ ...OPTIONS, window: { startHour, endHour } });
      const isIn = (ms: number) => {
        const hour = Math.floor(ms / 3_600_000) % 24;
        return startHour < endHour
          ? hour >= startHour && hour < endHour
          : hour >= startHour || hour < endHour;
      };
      const waitMs = deferMs(platform, profile);
      expect(waitMs === 0).toBe(isIn(ofDayMs));
      expect(isIn(ofDayMs + waitMs)).toBe(true);
    }),
  );
});

test('a slot writer writes any pieces as they are, and stops at the size', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 12 }),
      fc.constantFrom(1, 4, 16, 32),
      (sizes, alignment) => {
        const size = sizes.reduce((sum, one) => sum + one, 0);
        const slot = new Nor(9, 1024, alignment);
        slot.bytes.fill(0x33);
        const writer = new SlotWriter(slot, size, new Uint8Array(256));
        writer.begin(0);
        const bytes = Uint8Array.from({ length: size }, (_, at) => (at * 31) & 255);
        let at = 0;
        for (const one of sizes) {
          expect(writer.write(bytes, at, at + one)).toBeUndefined();
          at += one;
          expect(writer.written).toBe(at);
          expect(writer.durable).toBeLessThanOrEqual(at);
        }
        expect(slot.bytes.slice(0, size)).toEqual(bytes);
        expect(writer.write(bytes, 0, 1)).toBe('too-long');
        const end = Math.ceil(size / 1024) * 1024;
        expect(slot.bytes.slice(end).every((byte) => byte === 0x33)).toBe(true);
      },
    ),
  );
});

describe('the record', () => {
  test('comes back as it was saved, at the bounds of its texts', () => {
    const settings = new MemorySettings();
    const record = new UpdateRecord();
    record.begin('ü'.repeat(32), 4294967295, 'v'.repeat(32));
    record.digest = new Uint8Array(32).fill(9);
    record.sequence = 4294967295;
    record.floorS = Number.MAX_SAFE_INTEGER;
    record.etag = 'f'.padEnd(81, '"');
    record.progress = 123456789;
    record.report('reverted', '\u20ac'.repeat(100));
    record.save(settings);
    const other = new UpdateRecord();
    other.load(settings);
    expect({ ...other }).toEqual({ ...record });
    expect(other.reportReason).toHaveLength(64);
  });

  test('that cannot be read is as if there were none', () => {
    for (const bytes of [[], [0x80], [0x91, 2], [0xff], new Array(900).fill(0)]) {
      const settings = new MemorySettings();
      settings.values.set('update', Uint8Array.from(bytes));
      const record = new UpdateRecord();
      record.load(settings);
      expect({ ...record }).toEqual({ ...new UpdateRecord() });
    }
  });
});
