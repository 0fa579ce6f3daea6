// Global set-up of the tests with a real API server: says what is missing before the first of them fails for it.

import { networkInterfaces } from "node:os";
import { locateClusterTools } from "../../scripts/cluster-tools.ts";

export function setup(): void {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const isPrivate = addresses.every(({ address, internal }) => internal || address.startsWith("10.77."));
  if (!isPrivate || locateClusterTools() === undefined)
    throw new Error("these tests take a network of their own and a built API server: run `make test-cluster`");
}
