// Names of headers in parameters.

import { HEADER_NAME_BYTES_MAX } from "../../../wire/limits.ts";
import type { Value } from "../document.ts";

/** In lower case, as HTTP/2 has them; `otherwise` for "". Undefined after a complaint. */
export function headerName(value: Value, otherwise: string): string | undefined {
  const expected = `the name of a header, at most ${HEADER_NAME_BYTES_MAX} characters`;
  const name = value.text(expected)?.trim().toLowerCase();
  if (name === "") return otherwise;
  if (name === undefined) return undefined;
  const isName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name) && name.length <= HEADER_NAME_BYTES_MAX;
  return isName ? name : value.expected(expected);
}
