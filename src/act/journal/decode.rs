//! Bytes to records and back. Pure; the fuzzer's way in.

use super::Record;

/// A record longer than this is damage, not data: the largest plan has some ten kilobytes.
pub const RECORD_MAX: usize = 4 << 20;

/// Length, its complement, and the checksum of what follows: a damaged length must not pass for a torn end.
const HEADER: usize = 12;

/// What a journal file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Its records.
    pub records: Vec<Record>,
    /// Bytes that hold whole records; what is behind holds none.
    pub whole: usize,
    /// What is behind is not what a write leaves that was cut off.
    pub garbage: bool,
}

/// Damage with whole records behind it: what it was cannot be known, and what comes later cannot be trusted without it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// A record in the middle does not fit its checksum.
    #[error(
        "record {record} at byte {at} is damaged, and whole records follow it at byte {next}: {problem}. Put back a whole copy; or move the file away: \
         the next start makes it anew from the audit log beside it, leaves moves that were under way to you, and acts upon nothing until `jurymast hold --off`"
    )]
    Damaged {
        /// Which record, from 0.
        record: usize,
        /// Where it begins.
        at: usize,
        /// Where the next whole one begins.
        next: usize,
        /// What is wrong.
        problem: String,
    },
}

/// Appends a record to `bytes`.
pub fn encode(record: &Record, bytes: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let json = serde_json::to_vec(record)?;
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&(!length).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&json).to_le_bytes());
    bytes.extend_from_slice(&json);
    Ok(())
}

/// What stands at the beginning of these bytes.
enum Piece {
    /// A record, and how long it is.
    Whole(Box<Record>, usize),
    /// What a write leaves that was cut off, or nothing.
    Torn,
    /// Anything else.
    Damaged(String),
}

fn piece(bytes: &[u8]) -> Piece {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Piece::Torn;
    };
    let word = |n: usize| u32::from_le_bytes([header[n], header[n + 1], header[n + 2], header[n + 3]]);
    let (length, complement, crc) = (word(0), word(4), word(8));
    if length == 0 && complement == 0 && rest.iter().all(|byte| *byte == 0) {
        // Space that the file system had set aside and the crash left empty.
        return Piece::Torn;
    }
    if complement != !length {
        return Piece::Damaged("its length does not fit the length's complement".into());
    }
    let length = length as usize;
    if length > RECORD_MAX {
        return Piece::Damaged(format!("it claims {length} bytes"));
    }
    let Some(json) = rest.get(..length) else {
        return Piece::Torn;
    };
    if crc32fast::hash(json) != crc {
        // A torn write can leave the last record's length without all of its bytes, filled up with zeros.
        if rest.len() == length {
            return Piece::Torn;
        }
        return Piece::Damaged("its checksum does not fit".into());
    }
    match serde_json::from_slice(json) {
        Ok(record) => Piece::Whole(Box::new(record), HEADER + length),
        Err(error) => Piece::Damaged(error.to_string()),
    }
}

/// Reads all whole records up to where none follows.
pub fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let (mut records, mut at) = (Vec::new(), 0);
    let behind = |at: usize| bytes.get(at..).unwrap_or_default();
    let problem = loop {
        match piece(behind(at)) {
            Piece::Whole(record, length) => {
                records.push(*record);
                at += length;
            }
            Piece::Torn => break None,
            Piece::Damaged(problem) => break Some(problem),
        }
    };
    // Most places are passed over by their first eight bytes.
    let fits = |bytes: &[u8]| {
        let both = bytes.first_chunk::<8>().copied().map(u64::from_le_bytes);
        both.is_some_and(|both| (both ^ (both >> 32)) & u64::from(u32::MAX) == u64::from(u32::MAX))
    };
    let whole = |at: &usize| fits(behind(*at)) && matches!(piece(behind(*at)), Piece::Whole(..));
    // A length that is damaged and fits its complement all the same passes for a torn end.
    match (problem, (at + 1..bytes.len()).find(whole)) {
        (problem, Some(next)) => Err(DecodeError::Damaged {
            record: records.len(),
            at,
            next,
            problem: problem.unwrap_or_else(|| "it is cut off".into()),
        }),
        (problem, None) => Ok(Decoded {
            records,
            whole: at,
            garbage: problem.is_some(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Vec<u8> {
        let mut bytes = Vec::new();
        for epoch in 1..=3 {
            encode(&Record::Epoch { epoch }, &mut bytes).unwrap();
        }
        bytes
    }

    #[test]
    fn what_stands_behind_the_last_record_and_holds_none_is_no_reason_to_refuse_the_rest() {
        let whole = three();
        let noise: Vec<u8> = (0..300u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let told = decode(&[whole.clone(), noise.clone()].concat()).unwrap();
        assert_eq!((told.records.len(), told.whole, told.garbage), (3, whole.len(), true));
        // It took the last record with it.
        let cut = whole.len() - 5;
        let told = decode(&[&whole[..cut], &noise].concat()).unwrap();
        assert_eq!((told.records.len(), told.garbage), (2, true));
        // What a crash leaves.
        for cut in whole.len() / 3 * 2 + 1..whole.len() {
            let told = decode(&whole[..cut]).unwrap();
            assert_eq!((told.records.len(), told.garbage), (2, false), "{cut}");
        }
    }

    #[test]
    fn any_byte_that_is_damaged_before_a_whole_record_is_refused_with_its_place_and_what_to_do() {
        let whole = three();
        let last = whole.len() / 3 * 2;
        for at in 0..last {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            let error = decode(&bytes).unwrap_err().to_string();
            let place = format!(
                "record {} at byte {}",
                at * 3 / whole.len(),
                at * 3 / whole.len() * (whole.len() / 3)
            );
            assert!(error.contains(&place) && error.contains("audit log"), "{at}: {error}");
        }
    }
}
