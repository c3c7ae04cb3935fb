/** The order of names in lists: digits in them count as numbers, so that `net2` stands before `net10`. */

/** For `sort`: negative where `a` stands before `b`. */
export function naturalOrder(a: string, b: string): number {
  const aParts = a.split(/(\d+)/);
  const bParts = b.split(/(\d+)/);
  for (const [index, part] of aParts.entries()) {
    const other = bParts[index];
    if (other === undefined) return 1;
    // Odd places hold digits.
    const order = index % 2 === 1 ? numberOrder(part, other) : textOrder(part, other);
    if (order !== 0) return order;
  }
  return aParts.length - bParts.length;
}

/** Of any length; equal numbers stand by their leading zeros. */
function numberOrder(a: string, b: string): number {
  const [left, right] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')];
  return left.length - right.length || textOrder(left, right) || a.length - b.length;
}

function textOrder(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
