//! xxHash and the chain of prefix hashes (docs/scheduling.md), by xxhash-rust.

use wasm_bindgen::prelude::wasm_bindgen;
use xxhash_rust::xxh64;

/// The hash of `bytes`.
#[wasm_bindgen]
pub fn hash(bytes: &[u8], seed: u64) -> u64 {
    xxh64::xxh64(bytes, seed)
}

/// The hashes of one prompt's blocks, in order. `block_bytes` is four times the tokens of a block.
#[wasm_bindgen]
pub fn chain(model: &[u8], salt: &[u8], prompt: &[u8], block_bytes: usize, most: usize) -> Vec<u64> {
    let mut previous = xxh64::xxh64(&[model, salt].concat(), 0);
    let blocks = prompt.chunks(block_bytes.max(1)).take(most);
    blocks
        .map(|block| {
            // The streaming hasher, so that the pair is not laid out as the filter lays it out.
            let mut pair = xxh64::Xxh64::new(0);
            pair.update(&xxh64::xxh64(block, 0).to_le_bytes());
            pair.update(&previous.to_le_bytes());
            previous = pair.digest();
            previous
        })
        .collect()
}
