//! A server of our own and raw WebSocket peers, without any client of ours in between.
#![allow(dead_code)]

use beacon_sdk::plugin::{Join, PeerHint, Report};
use beacon_sdk::signaling::{
    ClientMessage, ErrorCode, Nonce, Proof, Riddle, ServerMessage, SignalData, Slate, VERSION, Work,
};
use beacon_sdk::{BroadcastId, Identity, PeerId, Role};
use beacon_signal::{Config, Server};
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// A guard against hanging, far above what anything takes.
pub(crate) const HANG: Duration = Duration::from_secs(30);

pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(config: Config) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), config).await
    }

    pub(crate) async fn start_at(addr: SocketAddr, config: Config) -> Self {
        let server = Server::bind(addr, config).await.unwrap();
        let addr = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        Self { addr, stop: Some(stop), task }
    }

    /// One that runs in another process, or is stopping in another task.
    pub(crate) fn elsewhere(addr: SocketAddr) -> Self {
        Self { addr, stop: None, task: tokio::spawn(async {}) }
    }

    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        tokio::time::timeout(HANG, self.task).await.unwrap().unwrap();
    }

    /// The body of a page, and its status line.
    pub(crate) async fn get(&self, path: &str) -> (String, String) {
        self.get_with(path, "").await
    }

    /// As [`get`](Self::get), with more lines in the request's head.
    pub(crate) async fn get_with(&self, path: &str, lines: &str) -> (String, String) {
        let (head, body) = self.get_bytes(path, lines).await;
        (head, String::from_utf8(body).unwrap())
    }

    /// The same, of what need not be text.
    pub(crate) async fn get_bytes(&self, path: &str, lines: &str) -> (String, Vec<u8>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let body = answer.split_off(end + 4);
        (String::from_utf8(answer).unwrap(), body)
    }
}

/// Sends a request with a body; the status, head and body of the answer.
pub(crate) async fn post(addr: SocketAddr, path: &str, body: &str) -> (u16, String, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    nonce: Nonce,
    /// What joining costs here.
    pub(crate) work: Option<Work>,
}

/// The session that peers join with here.
pub(crate) const SESSION: u64 = 5;

pub(crate) fn secret(number: u16) -> [u8; 32] {
    let mut secret = [0; 32];
    secret[..2].copy_from_slice(&number.to_be_bytes());
    secret
}

pub(crate) fn identity(number: u16) -> Identity {
    Identity::from_secret(secret(number))
}

pub(crate) fn id(number: u16) -> PeerId {
    identity(number).public()
}

pub(crate) fn broadcast(publisher: u16, epoch: u64) -> BroadcastId {
    BroadcastId { publisher: id(publisher), epoch }
}

/// Who comes, and what it says.
pub(crate) struct Guest {
    pub(crate) identity: Identity,
    pub(crate) join: Join,
}

pub(crate) fn viewer(name: &str, number: u16) -> Guest {
    let join = Join { name: name.into(), peer: id(number), broadcast: None, publish: false };
    Guest { identity: identity(number), join }
}

pub(crate) fn origin(name: &str, number: u16, epoch: u64) -> Guest {
    let broadcast = Some(broadcast(number, epoch));
    let join = Join { name: name.into(), peer: id(number), broadcast, publish: true };
    Guest { identity: identity(number), join }
}

pub(crate) fn report(score: u8, role: Role, depth: u8, slots: u16) -> ClientMessage {
    ClientMessage::MetricsReport(Report { score, role, depth, slots, upload_bps: 0, detail: None })
}

impl Peer {
    pub(crate) async fn connect(running: &Running) -> Self {
        let (socket, _) = connect_async(format!("ws://{}", running.addr)).await.unwrap();
        Self::challenged(socket).await
    }

    /// As [`connect`](Self::connect), by a proxy of this machine that says so; or the status, the seconds
    /// to wait and the words of the refusal.
    pub(crate) async fn connect_from(
        running: &Running,
        forwarded_for: &str,
    ) -> Result<Self, (u16, u64, String)> {
        let mut request = format!("ws://{}", running.addr).into_client_request().unwrap();
        request.headers_mut().insert("x-forwarded-for", forwarded_for.parse().unwrap());
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self::challenged(socket).await),
            Err(Error::Http(answer)) => {
                let after =
                    answer.headers().get("retry-after").and_then(|after| after.to_str().ok());
                let after = after.map_or(0, |after| after.parse().unwrap());
                let body = answer.body().clone().unwrap_or_default();
                Err((answer.status().as_u16(), after, String::from_utf8(body).unwrap()))
            }
            Err(other) => panic!("{other}"),
        }
    }

    async fn challenged(socket: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Self {
        let mut peer = Self { socket, nonce: Nonce::from_bytes([0; 32]), work: None };
        match peer.next().await {
            ServerMessage::Challenge { nonce, work, version: VERSION } => {
                Self { nonce, work, ..peer }
            }
            other => panic!("no challenge but {other:?}"),
        }
    }

    /// A join as the owner of `signer` answers this connection's challenge.
    pub(crate) fn answer(&self, signer: &Identity, join: Join) -> ClientMessage {
        let proof = Proof::sign(signer, &self.nonce, SESSION, &join);
        ClientMessage::Join {
            version: VERSION,
            join,
            session: SESSION,
            proof,
            token: None,
            work: None,
        }
    }

    /// What this connection asks of whoever joins so.
    pub(crate) fn riddle(&self, join: &Join) -> Riddle {
        Riddle::new(&self.nonce, SESSION, join, self.work.map_or(0, |work| work.tries))
    }

    /// As [`answer`](Self::answer), with the work done.
    pub(crate) fn worked(&self, guest: Guest) -> ClientMessage {
        let (riddle, mut slate) = (self.riddle(&guest.join), Slate::new());
        let found = (0..).find(|&answer| riddle.is_solved_by(answer, &mut slate));
        self.claiming(guest, found)
    }

    /// The same, with an answer whatever it is worth.
    pub(crate) fn claiming(&self, guest: Guest, answer: Option<u64>) -> ClientMessage {
        let mut message = self.answer(&guest.identity, guest.join);
        if let ClientMessage::Join { work, .. } = &mut message {
            *work = answer;
        }
        message
    }

    /// Asks to be let in.
    pub(crate) async fn ask(&mut self, guest: Guest) {
        let answer = self.answer(&guest.identity, guest.join);
        self.send(&answer).await;
    }

    /// Connects and joins; returns what the server said of the broadcast.
    pub(crate) async fn join(running: &Running, guest: Guest) -> (Self, Option<BroadcastId>) {
        let mut peer = Self::connect(running).await;
        peer.ask(guest).await;
        match peer.next().await {
            ServerMessage::Joined { broadcast, .. } => (peer, broadcast),
            other => panic!("not joined but {other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, message: &ClientMessage) {
        self.send_text(&message.to_json()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn signal(&mut self, to: u16, data: &[u8]) {
        let data = SignalData::new(data.to_vec().into()).unwrap();
        self.send(&ClientMessage::Signal { to: id(to), data }).await;
    }

    async fn frame(&mut self) -> Option<Result<Message, Error>> {
        tokio::time::timeout(HANG, self.socket.next()).await.expect("the server says nothing")
    }

    pub(crate) async fn next(&mut self) -> ServerMessage {
        loop {
            match self.frame().await.expect("closed").expect("failed") {
                Message::Text(text) => return ServerMessage::parse(&text).unwrap(),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Reads on until a message is wanted.
    pub(crate) async fn until<T>(&mut self, mut want: impl FnMut(ServerMessage) -> Option<T>) -> T {
        loop {
            if let Some(found) = want(self.next().await) {
                return found;
            }
        }
    }

    pub(crate) async fn until_signal(&mut self) -> (PeerId, Vec<u8>) {
        self.until(|message| match message {
            ServerMessage::Signal { from, data } => Some((from, data.into_bytes().to_vec())),
            _ => None,
        })
        .await
    }

    pub(crate) async fn until_told_of(&mut self, number: u16) -> PeerHint {
        self.until(|message| match message {
            ServerMessage::Peers { peers } => {
                peers.into_iter().find(|hint| hint.peer == id(number))
            }
            _ => None,
        })
        .await
    }

    pub(crate) async fn until_error(&mut self) -> (ErrorCode, String) {
        self.until(|message| match message {
            ServerMessage::Error { code, message, fatal } => {
                assert_eq!(fatal, code.fatal());
                Some((code, message))
            }
            _ => None,
        })
        .await
    }

    /// Whether a heartbeat is answered before the connection ends.
    pub(crate) async fn until_heartbeat_or_end(&mut self) -> bool {
        while let Some(Ok(frame)) = self.frame().await {
            if matches!(frame, Message::Text(text) if text.contains("\"heartbeat\"")) {
                return true;
            }
        }
        false
    }

    /// Reads to the end; the code of the error and of the close frame, if they came.
    pub(crate) async fn until_closed(&mut self) -> (Option<ErrorCode>, Option<u16>) {
        let mut error = None;
        let mut close = None;
        while let Some(Ok(frame)) = self.frame().await {
            match frame {
                Message::Text(text) => {
                    if let ServerMessage::Error { code, .. } = ServerMessage::parse(&text).unwrap()
                    {
                        error = Some(code);
                    }
                }
                Message::Close(frame) => close = frame.map(|frame| frame.code.into()),
                _ => {}
            }
        }
        (error, close)
    }
}
