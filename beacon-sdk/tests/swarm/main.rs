//! Whole swarms of engines over a simulated network.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod net;

use beacon_sdk::{Config, Profile};
use net::{Net, ms};

fn live() -> Config {
    Profile::Live.config()
}

/// Everyone played a contiguous run that equals the origin's, and no gap.
fn check(net: &Net, viewers: &[usize]) {
    let origin = net.segments(0);
    assert!(!origin.is_empty());
    for &at in viewers {
        let played = net.segments(at);
        assert_eq!(net.gaps(at), 0, "viewer {at}: {:?}", net.nodes[at].engine.stats());
        assert!(
            !played.is_empty(),
            "viewer {at} played nothing: {:#?}",
            net.nodes[at].engine.stats()
        );
        let first = origin.iter().position(|segment| segment == &played[0]).unwrap();
        for (mine, theirs) in played.iter().zip(&origin[first..]) {
            assert_eq!(mine, theirs, "viewer {at}");
        }
    }
}

#[test]
fn one_viewer() {
    let mut net = Net::new(1, 1, &live(), &live());
    net.introduce(1, ms(300));
    net.run(ms(8000));
    check(&net, &[1]);
    println!("{:#?}", net.nodes[1].engine.stats());
    assert!(net.segments(1).len() > 20);
}

#[test]
fn eight_viewers_two_origin_links() {
    let origin = {
        let mut config = live();
        config.links_max = 2;
        config.links_target = 2;
        config
    };
    let mut net = Net::new(2, 8, &live(), &origin);
    for at in 1..=8 {
        net.introduce(at, ms(100 * at as u64));
    }
    net.run(ms(20_000));
    for at in 0..=8 {
        println!("{at} {:?}", net.nodes[at].engine.stats());
    }
    check(&net, &[1, 2, 3, 4, 5, 6, 7, 8]);
    let stats = net.nodes[0].engine.stats();
    assert!(stats.bytes_uploaded * 10 <= stats.bytes_published * 25, "{stats:?}");
}
