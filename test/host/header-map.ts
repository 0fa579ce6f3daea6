// A header map as Envoy keeps it: ordered, names in lower case, several values per name. Text is one
// character per byte (Latin-1), so that bytes which are not UTF-8 pass unchanged.

export type HeaderList = readonly (readonly [name: string, value: string])[];

export class HeaderMap {
  private entries: [string, string][];

  constructor(list: HeaderList) {
    this.entries = list.map(([name, value]) => [name.toLowerCase(), value]);
  }

  get size(): number {
    return this.entries.length;
  }

  list(): HeaderList {
    return this.entries.map(([name, value]) => [name, value]);
  }

  /** The first value of that name. */
  get(name: string): string | undefined {
    const wanted = name.toLowerCase();
    for (const entry of this.entries) if (entry[0] === wanted) return entry[1];
    return undefined;
  }

  add(name: string, value: string): void {
    this.entries.push([name.toLowerCase(), value]);
  }

  /** Leaves one value of that name, where the first one stood. */
  replace(name: string, value: string): void {
    const wanted = name.toLowerCase();
    const at = this.entries.findIndex((entry) => entry[0] === wanted);
    if (at < 0) {
      this.entries.push([wanted, value]);
      return;
    }
    this.entries = this.entries.filter((entry, index) => index <= at || entry[0] !== wanted);
    this.entries[at] = [wanted, value];
  }

  remove(name: string): void {
    const wanted = name.toLowerCase();
    this.entries = this.entries.filter((entry) => entry[0] !== wanted);
  }
}

/** u32 count, then (u32 name length, u32 value length) per pair, then name NUL value NUL per pair. */
export function encodePairs(list: HeaderList): Uint8Array {
  let total = 4;
  for (const [name, value] of list) total += 8 + name.length + 1 + value.length + 1;
  const bytes = Buffer.alloc(total);
  bytes.writeUInt32LE(list.length, 0);
  let size = 4;
  let text = 4 + 8 * list.length;
  for (const [name, value] of list) {
    bytes.writeUInt32LE(name.length, size);
    bytes.writeUInt32LE(value.length, size + 4);
    size += 8;
    text += bytes.write(name, text, "latin1") + 1;
    text += bytes.write(value, text, "latin1") + 1;
  }
  return bytes;
}

/** Reads what encodePairs writes; undefined when the lengths do not fit the bytes. */
export function decodePairs(bytes: Uint8Array): HeaderList | undefined {
  if (bytes.length === 0) return [];
  if (bytes.length < 4) return undefined;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = buffer.readUInt32LE(0);
  let text = 4 + 8 * count;
  if (text > buffer.length) return undefined;
  const list: [string, string][] = [];
  for (let index = 0; index < count; index++) {
    const nameEnd = text + buffer.readUInt32LE(4 + 8 * index);
    const valueEnd = nameEnd + 1 + buffer.readUInt32LE(8 + 8 * index);
    if (valueEnd + 1 > buffer.length) return undefined;
    if (buffer[nameEnd] !== 0 || buffer[valueEnd] !== 0) return undefined;
    list.push([buffer.toString("latin1", text, nameEnd), buffer.toString("latin1", nameEnd + 1, valueEnd)]);
    text = valueEnd + 1;
  }
  return list;
}
