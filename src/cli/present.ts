// Optional values that are absent and not undefined, as exactOptionalPropertyTypes asks for.

export type Present<T> = { readonly [Name in keyof T]?: Exclude<T[Name], undefined> };

/** The record without the members that are undefined. */
export function present<T extends object>(record: T): Present<T> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as Present<T>;
}
