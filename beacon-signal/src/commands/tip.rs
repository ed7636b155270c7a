//! `beacon-signal tip`: gives credits away in the name of a key, over a server's HTTP.

use axum::body::{Body, to_bytes};
use beacon_ledger::tip::Recipient;
use beacon_ledger::{Id, Micro, Tip};
use beacon_sdk::PublicKey;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For an answer to come; the server's own patience is shorter.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

#[derive(clap::Args, Debug)]
pub(crate) struct Give {
    /// The server, ws://HOST:PORT or http://HOST:PORT
    server: Uri,
    /// Credits in all, with at most six decimals
    amount: Micro,
    /// Who gets them: a peer's id, or ID=WEIGHT for a part beside those of others
    #[arg(required = true, value_parser = recipient)]
    to: Vec<Recipient>,
    /// The giver's key, as `viewer --identity FILE` keeps it
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// A word with it, at most 140 characters
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// The tip's id, to ask again when it is not known whether it was given
    #[arg(long, value_name = "ID")]
    id: Option<Id>,
}

fn recipient(text: &str) -> Result<Recipient, String> {
    let (peer, weight) = text.split_once('=').unwrap_or((text, "1"));
    let peer: PublicKey = peer.parse().map_err(|error| format!("{error}"))?;
    let weight = weight.parse().map_err(|_| format!("{weight:?} is no weight: use ID=2"))?;
    Ok(Recipient { peer, weight })
}

/// Signs the tip for the server's ledger and gives it; the line that says what came of it.
pub(crate) async fn give(give: Give) -> Result<String, Box<dyn Error>> {
    let Give { server, amount, to, identity, note, id } = give;
    if !identity.exists() {
        return Err(format!("--identity: there is no file {}", identity.display()).into());
    }
    let giver = beacon_signal::read_or_make_key(&identity)?;
    let ledger = ask(&server, "GET", "/api/ledger", String::new()).await?;
    let issuer = ledger["issuer"].as_str().unwrap_or_default().parse()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().try_into()?;
    let mut random = [0; 10];
    getrandom::fill(&mut random)?;
    let id = id.unwrap_or(Id::new(now, random));
    let tip = Tip { id, issuer, from: giver.public(), to, amount, note };
    let body = serde_json::to_string(&tip.sign(&giver))?;
    let given = ask(&server, "POST", "/api/tip", body).await;
    let given = given.map_err(|error| format!("{error}; this tip's id is {id}"))?;
    let again = given["replayed"].as_bool().unwrap_or(false);
    let again = if again { "  (had come before: nothing was given again)" } else { "" };
    Ok(format!("gave {amount}, tip {id}{again}"))
}

/// What the server answers; its refusal as an error.
async fn ask(
    server: &Uri,
    method: &str,
    path: &str,
    body: String,
) -> Result<Value, Box<dyn Error>> {
    let cure =
        "use ws://HOST:PORT or http://HOST:PORT, behind a TLS proxy the server's own address";
    let plain = matches!(server.scheme_str(), Some("ws" | "http"));
    let host = server.host().filter(|_| plain).ok_or_else(|| format!("{server}: {cure}"))?;
    let address = format!("{host}:{}", server.port_u16().unwrap_or(80));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, &address)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(body)?;
    let answer = async {
        let socket = TcpStream::connect(&address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        tokio::spawn(connection);
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = to_bytes(Body::new(answer.into_body()), ANSWER_BYTES_MAX).await?;
        Ok::<_, Box<dyn Error>>((status, body))
    };
    let answer = timeout(PATIENCE, answer).await.map_err(|_| format!("{address} is silent"))?;
    let (status, body) = answer.map_err(|error| format!("{address}: {error}"))?;
    let value: Value = serde_json::from_slice(&body)
        .map_err(|_| format!("{address} answers {status} without JSON: is it beacon-signal?"))?;
    match value["error"].as_str() {
        None if status.is_success() => Ok(value),
        cause => Err(format!("the server refuses ({status}): {}", cause.unwrap_or("")).into()),
    }
}
