//! Orders of a broadcast's owner.

use super::{SKEW_MS, later, read};
use crate::books::now_ms;
use crate::http::{json, refusal};
use crate::order::SignedOrder;
use crate::rooms::Disobeyed;
use crate::server::Shared;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use tracing::info;

#[derive(Serialize)]
struct Obeyed {
    done: bool,
}

pub(super) async fn order(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    body: Body,
) -> Response {
    let signed: SignedOrder = match read(body, "an order").await {
        Ok(signed) => signed,
        Err(refused) => return refused,
    };
    if signed.order.at_ms.abs_diff(now_ms()) > SKEW_MS {
        let cause = "the order was given more than 90 s ago or ahead: set the clocks";
        return refusal(StatusCode::BAD_REQUEST, cause);
    }
    let done = shared.rooms().order(&name, &signed).await;
    match done {
        Ok(()) => {
            info!(name, order = ?signed.order.action, "the owner's order is done");
            json(&Obeyed { done: true })
        }
        Err(error) => {
            let status = match error {
                Disobeyed::Nowhere => StatusCode::NOT_FOUND,
                Disobeyed::NotOwner => StatusCode::FORBIDDEN,
                Disobeyed::Stale | Disobeyed::Full => StatusCode::CONFLICT,
                Disobeyed::Away(away) => return later(&away.to_string()),
            };
            refusal(status, &error.to_string())
        }
    }
}
