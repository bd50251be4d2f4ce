//! The page: static files in the binary, without anything from elsewhere.
//!
//! `page.js` asks for the picture each second and brings what is shown in line with it; `topology.js` draws the graph, `charts.js` the signals,
//! `orders.js` says an operator's word, `dom.js` keeps the focus where it is while things change. Never: a build step, a library, a request to another host.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::routes::Hooks;

/// Path, type and text of each file.
const FILES: [(&str, &str, &str); 7] = [
    ("/", "text/html; charset=utf-8", include_str!("index.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("/page.js", SCRIPT, include_str!("page.js")),
    ("/dom.js", SCRIPT, include_str!("dom.js")),
    ("/topology.js", SCRIPT, include_str!("topology.js")),
    ("/charts.js", SCRIPT, include_str!("charts.js")),
    ("/orders.js", SCRIPT, include_str!("orders.js")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Nothing from elsewhere, nothing inline, nobody around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The routes.
pub fn routes() -> Router<Arc<Hooks>> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(move || file(kind, text)))
    })
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    (
        [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            // The binary may be another one after an upgrade.
            (header::CACHE_CONTROL, "no-cache"),
        ],
        text,
    )
        .into_response()
}
