// The two WASI functions this filter imports. The file is named for the import's module.

export declare function clock_time_get(clock: u32, precision: u64, time: usize): u32;
export declare function random_get(buffer: usize, length: usize): u32;
