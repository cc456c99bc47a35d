// Machines of simulated devices: what runs is what the bootloader lets run, whatever cuts the power.

import { PowerLoss } from '@flotilla/sdk';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Catalogue } from '../../src/firmware/catalogue.ts';
import { MachineKind, MachineParts, SimulatedMachine } from '../../src/firmware/machine.ts';
import { scenarioOf } from './scenario.ts';

const SIZE = 8192;
const catalogue = new Catalogue(
  scenarioOf({
    firmware: { version: '1.0.0', size: SIZE },
    releases: [
      { version: '1.1.0', size: SIZE, rollbackTo: '1.0.0' },
      { version: '1.2.0', size: SIZE },
    ],
  }),
);
const factory = catalogue.factory[0]!;
const [first, second] = catalogue.releases;
const parts = new MachineParts();
const kind = new MachineKind(parts, {
  factory,
  imageSizeMax: SIZE + 4096,
  keys: [catalogue.key.publicKey],
});
const NO_CUTS = { seed: 1, device: 0, meanOperations: 0 };

/** A machine with its events in a list. */
function machineOf(cuts = NO_CUTS) {
  const machine = new SimulatedMachine(kind, cuts);
  const events: string[] = [];
  const listener = {
    onRestart: () => events.push('restart'),
    onConfirm: () => events.push('confirm'),
  };
  return {
    machine,
    events,
    boot: (reset: 'power-on' | 'restart' | 'crash') => machine.boot(reset, listener),
  };
}

/** Writes an image into the inactive slot as an update client does. */
function write(machine: SimulatedMachine, bytes: Uint8Array): void {
  const { slot } = machine.firmware!;
  for (let at = 0; at < bytes.length; at += slot.sectorSize) {
    slot.eraseBlock(at);
    slot.write(at, bytes, at, Math.min(bytes.length, at + slot.sectorSize));
  }
}

describe('a machine', () => {
  test('leaves the factory with its image confirmed, and names it by the digest of the file', () => {
    const { boot, machine } = machineOf();
    expect(boot('power-on')).toMatchObject({ outcome: 'slot', version: '1.0.0', trial: false });
    expect(machine.firmware!.digest).toEqual(factory.sha256);
    expect(machine.firmware!.running.size).toBe(machine.firmware!.slot.size);
    const head = new Uint8Array(64);
    machine.firmware!.running.read(0, head);
    expect(head).toEqual(factory.bytes.slice(0, 64));
  });

  test('tries a staged image, and keeps it once it is confirmed', () => {
    const { boot, events, machine } = machineOf();
    boot('power-on');
    write(machine, first!.image.bytes);
    machine.firmware!.stage();
    machine.firmware!.restart();
    expect(boot('restart')).toMatchObject({ version: '1.1.0', trial: true });
    expect(machine.firmware!.digest).toEqual(first!.image.sha256);
    machine.firmware!.confirm();
    machine.firmware!.confirm();
    expect(events).toEqual(['restart', 'confirm']);
    expect(boot('crash')).toMatchObject({ version: '1.1.0', trial: false });
  });

  test('goes back after three boots that nobody confirmed', () => {
    const { boot, machine } = machineOf();
    boot('power-on');
    write(machine, first!.image.bytes);
    machine.firmware!.stage();
    const versions = [boot('restart'), boot('crash'), boot('crash'), boot('crash')];
    expect(versions.map(({ version }) => version)).toEqual(['1.1.0', '1.1.0', '1.1.0', '1.0.0']);
  });

  test('goes back by the rollback release, and by nothing older', () => {
    const { boot, machine } = machineOf();
    boot('power-on');
    const install = (bytes: Uint8Array) => {
      write(machine, bytes);
      machine.firmware!.stage();
      const decision = boot('restart');
      machine.firmware!.confirm();
      // The counter rises at the first boot of a confirmed image.
      boot('restart');
      return decision.version;
    };
    expect(install(first!.image.bytes)).toBe('1.1.0');
    // Signed by the right key, but with the counter of before.
    expect(install(factory.bytes)).toBe('1.1.0');
    expect(install(first!.rollback!.bytes)).toBe('1.0.0');
    expect(install(second!.image.bytes)).toBe('1.2.0');
    expect(install(first!.rollback!.bytes)).toBe('1.2.0');
  });

  test('boots in the end, even where every operation is cut', () => {
    const { boot, machine } = machineOf({ seed: 2, device: 0, meanOperations: 1 });
    expect(boot('power-on')).toMatchObject({ outcome: 'slot', version: '1.0.0' });
    expect(() => machine.firmware!.slot.eraseBlock(0)).toThrow(PowerLoss);
    expect(boot('power-on')).toMatchObject({ outcome: 'slot', version: '1.0.0' });
  });

  test('comes up with the old or the new image, wherever the power goes', () => {
    let cutCount = 0;
    const updates = fc.property(fc.integer({ min: 0, max: 1e6 }), (seed) => {
      const { boot, machine } = machineOf({ seed, device: 3, meanOperations: 40 });
      const isDone = () => machine.firmware!.version === '1.1.0' && !machine.firmware!.trial;
      boot('power-on');
      for (let step = 0; step < 50 && !isDone(); step += 1) {
        try {
          if (machine.firmware!.trial) {
            machine.firmware!.confirm();
          } else {
            write(machine, first!.image.bytes);
            machine.firmware!.stage();
            boot('restart');
          }
        } catch (error) {
          expect(error).toBeInstanceOf(PowerLoss);
          cutCount += 1;
          boot('power-on');
        }
        expect(machine.decision!.outcome).toBe('slot');
        expect(['1.0.0', '1.1.0']).toContain(machine.decision!.version);
      }
      expect(isDone()).toBe(true);
    });
    fc.assert(updates, { numRuns: 30, seed: 7 });
    expect(cutCount).toBeGreaterThan(30);
  });
});
