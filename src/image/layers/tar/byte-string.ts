/**
 * Byte strings: names as the kernel and tar know them, any bytes but NUL, held in a JavaScript string of one char a
 * byte (Latin-1). They compare and sort as bytes and cross into the addon without a copy. The brand keeps them apart
 * from text, which is UTF-8 once encoded.
 */

export type ByteString = string & { readonly __brand: 'ByteString' };

export const EMPTY = '' as ByteString;

/** The UTF-8 bytes of a text, or bytes at hand. */
export function byteString(text: string | Uint8Array): ByteString {
  const bytes =
    typeof text === 'string'
      ? Buffer.from(text, 'utf8')
      : Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  return bytes.toString('latin1') as ByteString;
}

export function bytesOf(text: ByteString): Buffer {
  return Buffer.from(text, 'latin1');
}

/** For messages: UTF-8 where it is valid, quoted, control characters escaped. */
export function printable(text: ByteString): string {
  const shown = text.length > 256 ? `${text.slice(0, 256)}…` : text;
  return JSON.stringify(Buffer.from(shown, 'latin1').toString('utf8'));
}
