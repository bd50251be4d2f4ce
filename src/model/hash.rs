//! FNV-1a with 64 bits (Fowler, Noll, Vo; IETF draft-eastlake-fnv): the same in every run and on every machine. It tells a change
//! from none and is no protection against forgery.

/// The hash of nothing.
pub const FNV: u64 = 0xcbf2_9ce4_8422_2325;

/// Takes `text` into a hash that was begun with [`FNV`].
pub fn fnv1a(hash: u64, text: &str) -> u64 {
    text.bytes().fold(hash, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_values_come_out() {
        assert_eq!(fnv1a(FNV, ""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(FNV, "a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(FNV, "foobar"), 0x8594_4171_f739_67e8);
    }
}
