// For tsc: what asc is told on its command line.

/** Given by the target "usage" of asconfig.json. Only ever asked for with isDefined. */
declare const WITH_RESPONSE_BODIES: i32;
