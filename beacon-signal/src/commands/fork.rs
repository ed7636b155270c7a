//! `beacon-signal fork`: shows a proof that somebody signed two histories, over a server's HTTP.

use super::client::post;
use beacon_ledger::Micro;
use hyper::Uri;
use serde_json::json;
use std::error::Error;

#[derive(clap::Args, Debug)]
pub(crate) struct Show {
    /// The server, ws://HOST:PORT or http://HOST:PORT
    server: Uri,
    /// The proof, in base64: two receipts of one downloader for one edge that contradict each other
    proof: String,
}

/// Shows it; the line that says what came of it.
pub(crate) async fn show(show: Show) -> Result<String, Box<dyn Error>> {
    let told = post(&show.server, "/api/fork", &json!({ "proof": show.proof })).await?;
    let forfeited = told["forfeited"].as_u64().and_then(Micro::new).unwrap_or_default();
    Ok(format!("{} forfeits {forfeited}", told["culprit"].as_str().unwrap_or_default()))
}
