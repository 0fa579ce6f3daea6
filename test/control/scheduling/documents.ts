// EndpointPickerConfig documents for tests. Those that load lie in golden/configs/loading: most say what examples of
// the reference say, with the same plugins and parameters, in other words and another order.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const DIR = join(import.meta.dirname, "../../golden/configs");

/** Names of the documents that load. */
export const LOADING: readonly string[] = readdirSync(join(DIR, "loading"))
  .filter((file) => file.endsWith(".yaml"))
  .map((file) => file.slice(0, -".yaml".length));

export function loading(name: string): string {
  return readFileSync(join(DIR, "loading", `${name}.yaml`), "utf8");
}

/** Documents that do not load, with all that is said about each. */
export function brokenDocuments(): readonly {
  readonly title: string;
  readonly text: string;
  readonly errors: readonly string[];
}[] {
  const sections = readFileSync(join(DIR, "broken.md"), "utf8").split(/^## /m).slice(1);
  return sections.map((section) => {
    const [, title = "", text = "", errors = ""] =
      /^(.*)\n\n```yaml\n([\s\S]*?)```\n\n```\n([\s\S]*?)\n```/.exec(section) ?? [];
    return { title, text, errors: errors.split("\n") };
  });
}

/** A document with these plugins and profiles, a YAML flow item each. */
export function configYaml(plugins: readonly string[], profile: readonly string[], more = ""): string {
  return [
    "apiVersion: llm-d.ai/v1alpha1",
    "kind: EndpointPickerConfig",
    plugins.length === 0 ? "plugins: []" : "plugins:",
    ...plugins.map((plugin) => `- ${plugin}`),
    "schedulingProfiles:",
    "- name: default",
    `  plugins: [${profile.map((entry) => `{${entry}}`).join(", ")}]`,
    more,
  ].join("\n");
}
