// Width and height of an image, as far as the reference finds them: PNG, GIF and JPEG in base64.

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** The size of the image that a data URL holds. */
export function sizeOfUrl(url: string): Size | undefined {
  const marker = "base64,";
  if (!url.startsWith("data:image/") || !url.includes(marker)) return undefined;
  return sizeOfPayload(url.slice(url.indexOf(marker) + marker.length));
}

/** The size of the image whose base64 this is. */
export function sizeOfPayload(base64: string): Size | undefined {
  const bytes = decode(base64);
  const size = sizeOfPng(bytes) ?? sizeOfGif(bytes) ?? sizeOfJpeg(bytes);
  return size !== undefined && size.width > 0 && size.height > 0 ? size : undefined;
}

/** The groups of four up to the first that is none; line ends between them do not count. */
function decode(base64: string): Buffer {
  const groups = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)?/.exec(base64.replace(/[\r\n]/g, ""));
  return Buffer.from(groups![0], "base64");
}

function sizeOfPng(bytes: Buffer): Size | undefined {
  if (bytes.toString("latin1", 0, 8) !== "\x89PNG\r\n\x1a\n") return undefined;
  if (bytes.length < 33 || bytes.toString("latin1", 12, 16) !== "IHDR") return undefined;
  return { width: bytes.readInt32BE(16), height: bytes.readInt32BE(20) };
}

function sizeOfGif(bytes: Buffer): Size | undefined {
  if (!/^GIF8[79]a/.test(bytes.toString("latin1", 0, 6)) || bytes.length < 13) return undefined;
  return { width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) };
}

/** In the first frame header of the kinds that Go reads: baseline, extended, progressive. */
function sizeOfJpeg(bytes: Buffer): Size | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return undefined;
  let at = 2;
  while (at + 9 <= bytes.length) {
    const marker = bytes[at + 1]!;
    if (bytes[at] !== 0xff) return undefined;
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    if (marker === 0xda || marker === 0xd9) return undefined;
    if (marker >= 0xc0 && marker <= 0xc2) {
      return { height: bytes.readUInt16BE(at + 5), width: bytes.readUInt16BE(at + 7) };
    }
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  return undefined;
}
