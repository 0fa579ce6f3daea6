// Test projects. The order matters on a small machine: suites that use up the processor run first and
// side by side; those with a real Envoy, where time counts, run afterwards and one file at a time.

import { defineConfig } from "vitest/config";
import { SummaryReporter } from "./test/setup/summary.ts";

/** A test file that starts a real Envoy, wherever it lies, is named so. */
const WITH_ENVOY = ["test/e2e/**/*.test.ts", "test/**/*.envoy.test.ts"];
/** Tests of the filter as compiled. */
const WITH_FILTER = ["host", "oracle", "property", "filter", "transcripts"].map((name) => `test/${name}/**/*.test.ts`);
/** Tests with a real API server, run by `make test-cluster`: they need a network of their own. */
const WITH_CLUSTER = ["test/cluster/**/*.test.ts"];
const CHECKS = ["test/tidy.test.ts"];

const summary = process.env.POINTSMAN_TEST_SUMMARY;

export default defineConfig({
  test: {
    reporters: summary === undefined ? ["default"] : ["default", new SummaryReporter(summary)],
    projects: [
      {
        test: { name: "checks", include: CHECKS, testTimeout: 120_000, sequence: { groupOrder: 0 } },
      },
      {
        test: {
          name: "parts",
          include: ["test/**/*.test.ts"],
          exclude: [...WITH_ENVOY, ...WITH_FILTER, ...WITH_CLUSTER, ...CHECKS],
          testTimeout: 15_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "filter",
          include: WITH_FILTER,
          exclude: WITH_ENVOY,
          globalSetup: "test/setup/filter.ts",
          testTimeout: 60_000,
          // Some compile a part of the filter first.
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "envoy",
          include: WITH_ENVOY,
          globalSetup: "test/setup/filter.ts",
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "cluster",
          include: WITH_CLUSTER,
          globalSetup: ["test/setup/filter.ts", "test/setup/cluster.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
