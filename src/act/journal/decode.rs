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
    /// Bytes that hold whole records; what is behind was cut off in the middle of a write.
    pub whole: usize,
}

/// Damage that no crash explains.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// A record in the middle does not fit its checksum.
    #[error(
        "record {record} at byte {at} is damaged: {problem}. Move the file away only after making sure that no plan was running"
    )]
    Damaged {
        /// Which record, from 0.
        record: usize,
        /// Where it begins.
        at: usize,
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

/// Reads all whole records.
pub fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some((header, rest)) = bytes.get(at..).and_then(|rest| rest.split_first_chunk::<HEADER>()) {
        let word = |n: usize| u32::from_le_bytes([header[n], header[n + 1], header[n + 2], header[n + 3]]);
        let (length, complement, crc) = (word(0), word(4), word(8));
        let damaged = |problem: String| DecodeError::Damaged {
            record: records.len(),
            at,
            problem,
        };
        if length == 0 && complement == 0 && rest.iter().all(|byte| *byte == 0) {
            // Space that the file system had set aside and the crash left empty.
            break;
        }
        if complement != !length {
            return Err(damaged("its length does not fit the length's complement".into()));
        }
        let length = length as usize;
        if length > RECORD_MAX {
            return Err(damaged(format!("it claims {length} bytes")));
        }
        let Some(json) = rest.get(..length) else { break };
        if crc32fast::hash(json) != crc {
            // A torn write can leave the last record's length without all of its bytes, filled up with zeros.
            if rest.len() == length {
                break;
            }
            return Err(damaged("its checksum does not fit".into()));
        }
        let record = serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
        records.push(record);
        at += HEADER + length;
    }
    Ok(Decoded { records, whole: at })
}
