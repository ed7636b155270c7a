//! What is asked of the ledger, each signed by whoever asks: tips, deposits, splits; and proofs of forks, which anybody
//! may show.

use super::{answer, read};
use crate::books::now_ms;
use crate::http::{json, refusal};
use crate::server::Shared;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use beacon_ledger::book::Applied;
use beacon_ledger::receipt::DecodeError;
use beacon_ledger::tip::SignedTip;
use beacon_ledger::{Deposit, ForkProof, Id, Micro, Signed, Split};
use beacon_sdk::PublicKey;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What came of a tip or deposit.
#[derive(Serialize)]
struct Given {
    id: Id,
    amount: Micro,
    /// The same had come before, and nothing was given again.
    replayed: bool,
}

/// What came of a split.
#[derive(Serialize)]
struct Agreed {
    publisher: PublicKey,
    from_ms: u64,
    /// The same had come before.
    replayed: bool,
}

/// A proof against somebody who signed two histories.
#[derive(Deserialize)]
struct Fork {
    /// In base64.
    proof: String,
}

/// What it costs them.
#[derive(Serialize)]
struct Convicted {
    culprit: PublicKey,
    edge: Id,
    /// Nothing, when it is shown again.
    forfeited: Micro,
}

pub(super) async fn tip(State(shared): State<Arc<Shared>>, body: Body) -> Response {
    let signed: SignedTip = match read(body, "a tip").await {
        Ok(signed) => signed,
        Err(refused) => return refused,
    };
    answer(&shared, async |books, economy| {
        signed.verify(&books.issuer().public())?;
        let tip = &signed.request;
        let squad: Vec<(PublicKey, u32)> = tip.to.iter().map(|to| (to.peer, to.weight)).collect();
        let now = now_ms();
        // What the giver has earned and may spend by now counts.
        economy.vest(now, tip.from).await?;
        let applied = economy.tip(now, tip.id, tip.from, &squad, tip.amount, &tip.note).await?;
        let replayed = applied == Applied::Replayed;
        Ok(json(&Given { id: tip.id, amount: tip.amount, replayed }))
    })
    .await
}

pub(super) async fn deposit(State(shared): State<Arc<Shared>>, body: Body) -> Response {
    let signed: Signed<Deposit> = match read(body, "a deposit").await {
        Ok(signed) => signed,
        Err(refused) => return refused,
    };
    answer(&shared, async |_, economy| {
        let replayed = economy.deposit(now_ms(), &signed).await? == Applied::Replayed;
        let Deposit { id, amount, .. } = signed.request;
        Ok(json(&Given { id, amount, replayed }))
    })
    .await
}

pub(super) async fn split(State(shared): State<Arc<Shared>>, body: Body) -> Response {
    let signed: Signed<Split> = match read(body, "a split").await {
        Ok(signed) => signed,
        Err(refused) => return refused,
    };
    answer(&shared, async |_, economy| {
        let replayed = economy.agree(now_ms(), &signed).await? == Applied::Replayed;
        let Split { publisher, from_ms, .. } = signed.request;
        Ok(json(&Agreed { publisher, from_ms, replayed }))
    })
    .await
}

pub(super) async fn fork(State(shared): State<Arc<Shared>>, body: Body) -> Response {
    let fork: Fork = match read(body, "a proof").await {
        Ok(fork) => fork,
        Err(refused) => return refused,
    };
    let proof = match decode(&fork.proof) {
        Ok(proof) => proof,
        Err(cause) => return refusal(StatusCode::BAD_REQUEST, &cause),
    };
    answer(&shared, async |_, economy| {
        let forfeited = economy.forfeit(now_ms(), &proof).await?;
        let (culprit, edge) = (proof.culprit(), proof.edge().id);
        Ok(json(&Convicted { culprit, edge, forfeited }))
    })
    .await
}

fn decode(text: &str) -> Result<ForkProof, String> {
    let bytes = BASE64.decode(text.as_bytes()).map_err(|error| format!("not base64: {error}"))?;
    ForkProof::decode(&bytes).map_err(|error: DecodeError| format!("not a proof: {error}"))
}
