//! Where a source puts what it hears, with no agent behind it.

use jurymast::engine::Input;
use jurymast::ingest::Feed;
use jurymast::metrics::Metrics;
use jurymast::model::Catalog;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A feed with room for so many inputs, and where they come out.
pub fn feed(room: usize) -> (Feed, mpsc::Receiver<Input>) {
    let (inbox, inputs) = mpsc::channel(room);
    let feed = Feed {
        inbox,
        catalog: Catalog::new(),
        agent: "jurymast".into(),
        metrics: Metrics::default(),
        stop: CancellationToken::new(),
    };
    (feed, inputs)
}
