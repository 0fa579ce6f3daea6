// "host:port" as a user writes it.

import { isIP } from "node:net";

export interface Address {
  /** An IPv4 or IPv6 address, without brackets. */
  readonly host: string;
  /** 0 means that the operating system picks one. */
  readonly port: number;
}

/** Reads "127.0.0.1:8080", "[::1]:8080" or "localhost:8080"; undefined when `text` is none of these. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const [, bracketed, plain, digits] = match;
  const port = Number(digits);
  const host = bracketed ?? (plain === "localhost" ? "127.0.0.1" : (plain ?? ""));
  if (port > 65_535 || isIP(host) !== (bracketed === undefined ? 4 : 6)) return undefined;
  return { host, port };
}

/** As parseAddress, and ":8080" is that port of all addresses. */
export function parseListenAddress(text: string): Address | undefined {
  return parseAddress(text.startsWith(":") ? `[::]${text}` : text);
}

/** The reverse of parseAddress: an IPv6 host gets its brackets back. */
export function formatAddress(address: Address): string {
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
