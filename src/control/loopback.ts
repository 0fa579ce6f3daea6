// Which clients are on this machine, or in this pod.

import { BlockList, isIPv6 } from "node:net";

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/** Of the address of a socket's other end. An IPv4 address that a socket of IPv6 shows as ::ffff:… is what it maps. */
export function isLoopback(address: string | undefined): boolean {
  return address !== undefined && LOOPBACK.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}
