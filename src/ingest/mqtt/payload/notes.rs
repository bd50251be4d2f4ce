//! What of a payload did not come through, and why.

/// What of a payload did not come through as it was sent, though the payload as a whole did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Integers beyond 2^53 whose last digits a double cannot hold.
    pub digits_lost: u32,
    /// Values of the past, sent later: they are not what is the case now, so detection does not see them.
    pub historical: u32,
    /// The payload was empty: a retained message was taken away. There is no value in it.
    pub empty: u32,
    /// Values whose time cannot be one; the time of arrival stands in.
    pub odd_times: u32,
    /// Messages of a session that is over: a will that came late.
    pub stale: u32,
    /// Times that a bound made the decoder forget what it had learned.
    pub forgotten: u32,
    /// Messages on topics that no discovery message has announced.
    pub unannounced: u32,
    /// Values left out, each for the fault beside it.
    pub left_out: u32,
    /// Why the first of those was left out.
    pub fault: Option<DecodeError>,
}

impl Notes {
    /// For an empty payload.
    pub fn empty() -> Self {
        Self {
            empty: 1,
            ..Self::default()
        }
    }

    /// Takes in whether an integer came through whole.
    pub(super) fn integer(&mut self, exact: bool) {
        self.digits_lost += u32::from(!exact);
    }

    /// Takes in a value that is left out.
    pub(super) fn leave_out(&mut self, fault: DecodeError) {
        self.left_out += 1;
        self.fault.get_or_insert(fault);
    }

    /// By the words by which they are counted.
    pub fn counts(&self) -> [(&'static str, u32); 8] {
        [
            ("digits_lost", self.digits_lost),
            ("historical", self.historical),
            ("empty", self.empty),
            ("odd_time", self.odd_times),
            ("stale", self.stale),
            ("forgotten", self.forgotten),
            ("unannounced", self.unannounced),
            (
                self.fault.as_ref().map_or("left_out", DecodeError::reason),
                self.left_out,
            ),
        ]
    }
}

/// A payload that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Not text.
    #[error("it is not UTF-8 text")]
    Utf8,
    /// Not JSON.
    #[error("it is not JSON: {0}")]
    Json(String),
    /// Not the protobuf that it should be.
    #[error("it is not a Sparkplug B payload: {0}")]
    Protobuf(String),
    /// Neither a number nor a switch word.
    #[error("'{0}' is neither a number nor one of on, off, true, false")]
    Scalar(String),
    /// Nothing in it that could be a value.
    #[error("it holds no value at {0}")]
    NoValue(String),
    /// A time whose unit cannot be told, or that is none.
    #[error("{0} is not a time in s, ms, us or ns since 1970 of this century, nor RFC 3339")]
    Time(String),
    /// A word that says neither there nor gone.
    #[error("'{0}' is in neither list of presence words (online, offline)")]
    Presence(String),
    /// A topic that does not fit the convention.
    #[error("the topic does not fit the convention: {0}")]
    Topic(String),
    /// A Sparkplug metric by an alias that no birth has told.
    #[error(
        "alias {alias} of {node} is unknown: no birth was seen since we listen; its values are dropped until the next birth"
    )]
    UnknownAlias {
        /// The edge node.
        node: String,
        /// The alias.
        alias: u64,
    },
    /// Not what its convention says.
    #[error("it is not {convention}: {problem} at {place}")]
    Misshapen {
        /// Which convention.
        convention: &'static str,
        /// What is wrong.
        problem: String,
        /// Where in the payload.
        place: String,
    },
    /// A value that its own source calls bad.
    #[error("the source itself calls {place} bad (status {status})")]
    BadQuality {
        /// Which value.
        place: String,
        /// The source's word.
        status: String,
    },
    /// A template of a discovery message that cannot be carried out on the payload.
    #[error("the template of {place} fails: {problem}")]
    Template {
        /// Whose template.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// No convention that it fits.
    #[error("it fits no convention that is known; name one with `decode`")]
    Unrecognised,
    /// More than is read.
    #[error("it holds more than {0} values")]
    TooMany(usize),
    /// Longer than is read.
    #[error("its packet of {bytes} bytes is longer than max_payload allows ({limit}): it was skipped")]
    TooLong {
        /// How long it was.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
}

impl DecodeError {
    /// For a word that tells of no presence; of a long one its beginning.
    pub(super) fn presence(word: &str) -> Self {
        Self::Presence(word.chars().take(64).collect())
    }

    /// One word, for counting.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Json(_) => "json",
            Self::Protobuf(_) => "protobuf",
            Self::Scalar(_) => "scalar",
            Self::NoValue(_) => "no_value",
            Self::Time(_) => "time",
            Self::Presence(_) => "presence",
            Self::Topic(_) => "topic",
            Self::UnknownAlias { .. } => "unknown_alias",
            Self::Misshapen { .. } => "misshapen",
            Self::BadQuality { .. } => "bad_quality",
            Self::Template { .. } => "template",
            Self::Unrecognised => "unrecognised",
            Self::TooMany(_) => "too_many",
            Self::TooLong { .. } => "too_long",
        }
    }
}
