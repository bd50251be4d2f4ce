//! The bodies that senders' protocols expect as answers.

use super::Answer;

/// The counts that version 2 asks for; version 1 does not mind them.
pub fn written(answer: Answer, samples: usize) -> Answer {
    answer
        .with("x-prometheus-remote-write-samples-written", &samples)
        .with("x-prometheus-remote-write-histograms-written", &0)
        .with("x-prometheus-remote-write-exemplars-written", &0)
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn varint_field(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [&varint(number << 3 | 2)[..], &varint(bytes.len() as u64), bytes].concat()
}

/// What OTLP answers: all was taken, or so many were not.
pub fn partly(json: bool, refused: &str, count: usize, error: Option<&str>) -> Vec<u8> {
    match (error, json) {
        (None, true) => b"{}".to_vec(),
        (None, false) => Vec::new(),
        (Some(error), true) => {
            serde_json::json!({"partialSuccess": {refused: count.to_string(), "errorMessage": error}})
                .to_string()
                .into_bytes()
        }
        (Some(error), false) => field(
            1,
            &[&varint_field(1, count as u64)[..], &field(2, error.as_bytes())].concat(),
        ),
    }
}

/// `google.rpc.Status` with a message.
pub fn status(json: bool, message: &str) -> Vec<u8> {
    if json {
        serde_json::json!({ "message": message }).to_string().into_bytes()
    } else {
        field(2, message.as_bytes())
    }
}
