// The digests and the signature check that the boot model needs, passed in: a chip has them in ROM
// or hardware, the commands and tests take them from node:crypto.

export interface BootCrypto {
  /** 32 bytes. */
  sha256(bytes: Uint8Array): Uint8Array;
  /** 64 bytes. */
  sha512(bytes: Uint8Array): Uint8Array;
  /** 16 bytes; guards ESP-IDF's partition table against accidents, nothing against an attacker. */
  md5(bytes: Uint8Array): Uint8Array;
  /**
   * Ed25519 (RFC 8032 §5.1.7) with a raw public key of 32 bytes. False for a wrong signature, key
   * or encoding alike; never throws on hostile bytes.
   */
  verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
}
