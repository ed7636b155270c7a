//! What the transport costs above the bare data channel: CPU seconds per gigabyte of payload,
//! both ends together, in one process and one run.
//!
//! `cargo run --release -p beacon-transport-webrtc --example cost -- [SECONDS] [ROUNDS]`
//!
//! Both sides use the same stack, window and channel settings; rounds alternate, so that other
//! load on the machine meets both. The number to keep is the ratio.

#[cfg(target_os = "linux")]
mod bare;
#[cfg(target_os = "linux")]
mod linked;
#[cfg(target_os = "linux")]
mod measure;

#[cfg(target_os = "linux")]
#[tokio::main]
async fn main() {
    use beacon_sdk::plugin::Lane;
    use measure::{Flow, Load, median};

    let mut numbers = std::env::args().skip(1).map(|text| text.parse().expect("a whole number"));
    let (seconds, rounds) = (numbers.next().unwrap_or(3), numbers.next().unwrap_or(3));
    let span = std::time::Duration::from_secs(seconds);
    let mut took = Vec::new();
    for _ in 0..20 {
        took.push(linked::set_up().await);
    }
    println!("set-up on loopback, median of 20: {:.0} ms\n", median(took));
    let loads = [
        ("data lane, 1152 B, as fast as it goes", Load::new(Lane::Data, 1152, Flow::Flood)),
        ("control lane, 16 KiB, as fast as it goes", Load::new(Lane::Control, 16384, Flow::Flood)),
        (
            "data lane, 1152 B, 40 Mbit/s in bursts every 2 ms",
            Load::new(Lane::Data, 1152, Flow::Paced),
        ),
    ];
    for (name, load) in loads {
        println!("{name}");
        let (mut bare, mut linked) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            bare.push(bare::run(load, span).await.print("  bare     "));
            linked.push(linked::run(load, span).await.print("  transport"));
        }
        let (bare, linked) = (median(bare), median(linked));
        println!("  median {bare:.2} and {linked:.2} CPU s/GB: ratio {:.2}\n", linked / bare);
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("CPU time is read from /proc; run this on Linux");
}
