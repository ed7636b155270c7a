//! Nothing is left of closed links. Alone in its process, because it counts what that has open.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod fixture;

use beacon_sdk::plugin::TransportEvent;
use beacon_transport_webrtc::WebRtcConfig;
use fixture::{Post, connect};
use std::time::Duration;

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Waits, within reason, for `now` to come down to `then`.
async fn settles(then: usize, now: fn() -> usize) -> bool {
    for _ in 0..500 {
        if now() <= then {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn closed_links_leave_no_socket_and_no_task() {
    let post = Post::default();
    let config = WebRtcConfig::loopback;
    let (mut a, mut b) = (post.peer(1, config()), post.peer(2, config()));
    let (files, running) = (open_files(), tasks());
    for round in 0..30 {
        connect(&mut a, &mut b).await;
        assert!(open_files() > files, "links have sockets");
        let (closer, other) = if round % 2 == 0 { (&a, &mut b) } else { (&b, &mut a) };
        closer.close(other);
        assert!(matches!(other.event().await, TransportEvent::Disconnected { .. }));
        // Set-ups that are given up half-way, too.
        a.dial(&b);
        if round % 3 == 0 {
            tokio::task::yield_now().await;
        }
        a.close(&b);
        b.close(&a);
        assert!(settles(files, open_files).await, "{} sockets are left", open_files() - files);
        while let Ok(Some(_)) = tokio::time::timeout(Duration::ZERO, b.maybe_event()).await {}
    }
    assert!(settles(running, tasks).await, "{} tasks are left", tasks() - running);

    // Transports that are dropped, or shut down, with links.
    connect(&mut a, &mut b).await;
    a.shutdown().await;
    assert!(matches!(b.event().await, TransportEvent::Disconnected { .. }));
    assert!(settles(files, open_files).await, "sockets are left after shutdown");
    let (mut c, mut d) = (post.peer(3, config()), post.peer(4, config()));
    connect(&mut c, &mut d).await;
    post.forget(c.id);
    drop(c);
    assert!(matches!(d.event().await, TransportEvent::Disconnected { .. }));
    assert!(settles(files, open_files).await, "sockets are left after a drop");
}
