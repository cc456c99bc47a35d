// Topics by template: 'devices/{id}/{topic}' is stored once per fleet and written with the
// device's id straight into the packet, so no device stores a topic.

import { equalsUtf8, readUtf8, utf8Size, writeUtf8 } from '../codec/text.ts';

/** Largest topic in bytes (MQTT 3.1.1 §1.5.3: a two-byte length). */
export const TOPIC_SIZE_MAX = 65535;

export class TopicTemplate {
  readonly text: string;
  private readonly beforeId: string;
  private readonly afterId: string;
  private readonly afterTopic: string;
  private readonly fixedSize: number;

  /**
   * `text` holds `{id}` and then `{topic}`, each once, no wildcard and no U+0000.
   * Throws a RangeError with the reason otherwise.
   */
  constructor(text: string) {
    const id = text.indexOf('{id}');
    const topic = text.indexOf('{topic}');
    const again = text.indexOf('{id}', id + 1) >= 0 || text.indexOf('{topic}', topic + 1) >= 0;
    if (id < 0 || topic < id || again) {
      throw new RangeError(`topic template '${text}': expected {id} and then {topic}, once each`);
    }
    if (text.indexOf('+') >= 0 || text.indexOf('#') >= 0) {
      throw new RangeError(`topic template '${text}': wildcards + and # are for filters only`);
    }
    if (text.indexOf('\0') >= 0) throw new RangeError('topic template: U+0000 is not allowed');
    this.text = text;
    this.beforeId = text.substring(0, id);
    this.afterId = text.substring(id + 4, topic);
    this.afterTopic = text.substring(topic + 7);
    this.fixedSize = utf8Size(this.beforeId) + utf8Size(this.afterId) + utf8Size(this.afterTopic);
  }

  /** Bytes of the topic of `id` and `topic`. */
  size(id: string, topic: string): number {
    return this.fixedSize + utf8Size(id) + utf8Size(topic);
  }

  /** Writes the topic and returns the offset after it. */
  write(target: Uint8Array, offset: number, id: string, topic: string): number {
    let next = writeUtf8(target, offset, this.beforeId);
    next = writeUtf8(target, next, id);
    next = writeUtf8(target, next, this.afterId);
    next = writeUtf8(target, next, topic);
    return this.afterTopic === '' ? next : writeUtf8(target, next, this.afterTopic);
  }

  /** The topic as a string, for filters and wills; `id` may be '+' for all devices. */
  format(id: string, topic: string): string {
    return this.beforeId + id + this.afterId + topic + this.afterTopic;
  }

  /** True when source[start, end) is the topic of `id` and `topic`. */
  matches(source: Uint8Array, start: number, end: number, id: string, topic: string): boolean {
    // The size first: most topics that are not this one differ in it.
    if (end - start !== this.size(id, topic)) return false;
    return equalsUtf8(source, start, end, this.format(id, topic));
  }

  /** The name below `id` that source[start, end) is the topic of, or '' when it is another's. */
  nameOf(source: Uint8Array, start: number, end: number, id: string): string {
    const head = this.beforeId + id + this.afterId;
    const nameStart = start + utf8Size(head);
    const nameEnd = end - utf8Size(this.afterTopic);
    if (nameStart >= nameEnd || !equalsUtf8(source, start, nameStart, head)) return '';
    if (!equalsUtf8(source, nameEnd, end, this.afterTopic)) return '';
    return readUtf8(source, nameStart, nameEnd);
  }

  /** The id in a topic that this template wrote, or '' when the topic is another's. */
  idOf(topic: string, name: string): string {
    const tail = this.afterId + name + this.afterTopic;
    const idEnd = topic.length - tail.length;
    const idStart = this.beforeId.length;
    if (idEnd <= idStart || topic.substring(idEnd) !== tail) return '';
    if (topic.substring(0, idStart) !== this.beforeId) return '';
    const id = topic.substring(idStart, idEnd);
    return id.indexOf('/') < 0 ? id : '';
  }
}
