// Half precision by its definition (IEEE 754-2019 §3.4): the oracle of the codec's. DataView has
// its own only from Node 24 on, and not on XS.

/** The value of the 16 bits of a half. */
export function halfOf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** Bits by the magnitude of what they are; NaN is left out, as many are. */
const BITS: Map<number, number> = new Map();
for (let bits = 0; bits <= 0x7c00; bits += 1) BITS.set(halfOf(bits), bits);

/** The bits of a value that is a half, or undefined; NaN is no one half. */
export function bitsOfHalf(value: number): number | undefined {
  const bits = BITS.get(Math.abs(value));
  const isNegative = value < 0 || Object.is(value, -0);
  return bits === undefined || !isNegative ? bits : bits + 0x8000;
}
