/**
 * Domain names in messages and as text. Text is in lower case without the last dot; a name with bytes that no host
 * name has (dots inside a label, spaces, controls, beyond ASCII) has no text, so that no two names share one.
 * Source: RFC 1035, sections 3.1 and 4.1.4.
 */

const LABEL_BYTES_MAX = 63;
/** With the length bytes and the root's zero. */
const NAME_BYTES_MAX = 255;
const POINTER = 0xc0;

export interface WireName {
  text: string | undefined;
  /** The byte behind the name, where it stands; not where a pointer leads. */
  end: number;
}

/**
 * The name at `offset`, undefined where it is malformed. A compression pointer may only lead to before the piece that
 * it ends, so that following them comes to an end.
 */
export function readName(packet: Buffer, offset: number, pointers: boolean): WireName | undefined {
  const labels: string[] = [];
  let printable = true;
  let bytes = 1;
  let at = offset;
  let pieceStart = offset;
  let end: number | undefined;
  for (;;) {
    const length = packet[at];
    if (length === undefined) return undefined;
    if (length === 0) break;
    if (length >= POINTER) {
      const low = packet[at + 1];
      const target = ((length & 0x3f) << 8) | (low ?? 0);
      if (!pointers || low === undefined || target >= pieceStart) return undefined;
      end ??= at + 2;
      at = target;
      pieceStart = target;
      continue;
    }
    bytes += length + 1;
    if (length > LABEL_BYTES_MAX || bytes > NAME_BYTES_MAX || at + 1 + length > packet.length)
      return undefined;
    const label = packet.toString('latin1', at + 1, at + 1 + length);
    printable &&= /^[!-\-/-[\]-~]+$/.test(label);
    labels.push(label);
    at += length + 1;
  }
  return { text: printable ? labels.join('.').toLowerCase() : undefined, end: end ?? at + 1 };
}

/** Undefined where the text is no name that fits into a message. */
export function encodeName(text: string): Buffer | undefined {
  const labels = text === '' ? [] : text.split('.').map((label) => Buffer.from(label));
  if (labels.some((label) => label.length === 0 || label.length > LABEL_BYTES_MAX)) return undefined;
  const pieces = labels.flatMap((label) => [Buffer.of(label.length), label]);
  const encoded = Buffer.concat([...pieces, Buffer.of(0)]);
  return encoded.length > NAME_BYTES_MAX ? undefined : encoded;
}
