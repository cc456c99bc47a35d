import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isTopicFilter, isTopicName, topicMatches } from '../../src/mqtt/topic.ts';

describe('topicMatches', () => {
  // The examples of MQTT 3.1.1 and 5 §4.7.1-4.7.3.
  test.each([
    ['sport/tennis/player1/#', 'sport/tennis/player1', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
    ['sport/tennis/player1/#', 'sport/tennis/player10', false],
    ['sport/#', 'sport', true],
    ['#', 'sport/tennis', true],
    ['#', '/', true],
    ['sport/tennis/+', 'sport/tennis/player1', true],
    ['sport/tennis/+', 'sport/tennis/player2', true],
    ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+', 'sport', true],
    ['+', '/finance', false],
    ['+/+', '/finance', true],
    ['/+', '/finance', true],
    ['+/tennis/#', 'sport/tennis', true],
    ['+/#', 'sport', true],
    ['#', '$SYS/broker', false],
    ['+/monitor/Clients', '$SYS/monitor/Clients', false],
    ['$SYS/#', '$SYS/', true],
    ['$SYS/#', '$SYS', true],
    ['$SYS/monitor/+', '$SYS/monitor/Clients', true],
    ['a/+', 'a/$b', true],
    ['ACCOUNTS', 'Accounts', false],
    ['Accounts payable', 'Accounts payable', true],
    ['/finance', 'finance', false],
    ['a/b', 'a', false],
    ['a', 'a/b', false],
    ['a/b/#', 'a', false],
    ['a//b', 'a/b', false],
    ['a/+/b', 'a//b', true],
  ])('%s %s %s', (filter, topic, expected) => {
    expect(topicMatches(filter, topic)).toBe(expected);
  });

  /** By levels, as §4.7.1 words it. */
  function matchesByLevels(filter: string, topic: string): boolean {
    if (/^[#+]/.test(filter) && topic.startsWith('$')) return false;
    const filters = filter.split('/');
    const levels = topic.split('/');
    for (const [index, level] of filters.entries()) {
      if (level === '#') return levels.length >= index;
      if (index >= levels.length || (level !== '+' && level !== levels[index])) return false;
    }
    return filters.length === levels.length;
  }

  test('equals a match by levels', () => {
    const level = fc.constantFrom('', 'a', 'ab', '$', '$a', 'ä', '😀');
    const topics = fc
      .array(level, { minLength: 1, maxLength: 4 })
      .map((levels) => levels.join('/'));
    const filters = fc
      .tuple(
        fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }),
        fc.constantFrom([], ['#'], ['+']),
      )
      .map(([levels, last]) => [...levels, ...last].join('/'))
      .filter(isTopicFilter);
    fc.assert(
      fc.property(filters, topics.filter(isTopicName), (filter, topic) => {
        expect(topicMatches(filter, topic)).toBe(matchesByLevels(filter, topic));
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('validity', () => {
  // MQTT 3.1.1 and 5 §4.7.1.2, §4.7.1.3.
  test.each([
    ['#', true],
    ['sport/tennis/#', true],
    ['sport/tennis#', false],
    ['sport/tennis/#/ranking', false],
    ['#/a', false],
    ['##', false],
    ['+', true],
    ['+/tennis/#', true],
    ['sport+', false],
    ['+sport', false],
    ['sport/+/player1', true],
    ['a/+b/c', false],
    ['a/b+/c', false],
    ['++', false],
    ['+#', false],
    ['/', true],
    ['a b', true],
    ['', false],
    ['a\0b', false],
  ])('filter %j is valid: %s', (filter, expected) => {
    expect(isTopicFilter(filter)).toBe(expected);
  });

  test.each([
    ['a', true],
    ['/', true],
    ['$SYS/a', true],
    ['', false],
    ['#', false],
    ['a/#', false],
    ['+', false],
    ['a/+', false],
    ['a\0', false],
    ['\0a', false],
  ])('name %j is valid: %s', (topic, expected) => {
    expect(isTopicName(topic)).toBe(expected);
  });

  test('at most 65,535 bytes ([MQTT-4.7.3-3])', () => {
    expect(isTopicName(`${'é'.repeat(32767)}x`)).toBe(true);
    expect(isTopicName('é'.repeat(32768))).toBe(false);
    expect(isTopicFilter('é'.repeat(32768))).toBe(false);
  });
});
