// Servers as the pods of a pool have them: addresses of their own, one port.

import type { Address } from "../../../src/envoy/address.ts";

interface Server {
  readonly address: Address;
  stop(): Promise<void>;
}

/** A port that is free on one loopback address may be taken on another: then all try the next. */
const TRIES = 20;

/** Starts `count` servers on 127.0.0.11, 127.0.0.12, …, all on the same port, which the system picks. */
export async function onOnePort<T extends Server>(
  count: number,
  start: (listen: Address, index: number) => Promise<T>,
): Promise<readonly T[]> {
  for (let tried = 1; ; ++tried) {
    const servers: T[] = [];
    try {
      for (let index = 0; index < count; ++index) {
        const port = servers[0]?.address.port ?? 0;
        servers.push(await start({ host: `127.0.0.${11 + index}`, port }, index));
      }
      return servers;
    } catch (error) {
      await Promise.all(servers.map((server) => server.stop()));
      if (tried === TRIES) throw error;
    }
  }
}
