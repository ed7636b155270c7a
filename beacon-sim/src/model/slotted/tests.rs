use super::*;
use crate::model::SEED;

fn small(policy: Policy) -> Slotted {
    Slotted { window: 32, warm_up: 50, measured: 50, ..Slotted::new(64, policy) }
}

#[test]
fn the_source_serves_a_viewer_alone_in_one_slot() {
    let alone = Slotted { viewers: 1, ..small(Policy::UsefulPeer) }.run(SEED);
    assert_eq!((alone.coverage, alone.mean, alone.last), (1.0, 1.0, 1));
}

#[test]
fn what_is_announced_is_not_sent_twice() {
    let announced = small(Policy::UsefulPeer);
    assert_eq!(announced.run(SEED).duplicates, 0.0);
    assert!(Slotted { reserve: false, ..announced }.run(SEED).duplicates > 0.01);
}

#[test]
fn nobody_receives_more_than_is_uploaded() {
    // Half a copy per viewer and slot, and one by the source.
    let starved = Slotted { upload: 500, ..small(Policy::UsefulPeer) }.run(SEED).coverage;
    let supply = 0.5 + 1.0 / 64.0;
    assert!(starved <= supply + 0.01 && starved > 0.9 * supply, "{starved} of {supply}");
    let silent = Slotted { upload: 0, ..small(Policy::UsefulPeer) }.run(SEED).coverage;
    assert!((silent - 1.0 / 64.0).abs() < 1e-9, "{silent}");
}

#[test]
fn no_copy_is_faster_than_doubling() {
    for policy in [Policy::EarliestLatest, Policy::UsefulPeer, Policy::LatestChunkFirst] {
        assert!(small(policy).run(SEED).last >= crate::bound::slots(64), "{policy:?}");
    }
}

#[test]
fn links_have_two_ends_whatever_happens() {
    let config = Slotted {
        mesh: Mesh::Random(6),
        churn: Some(Churn { stay: 20 }),
        rewire: 5,
        ..small(Policy::Deprived)
    };
    let mut swarm = Swarm::new(&config, SEED);
    for _ in 0..100 {
        swarm.slot();
    }
    let ends = |one: usize, other: usize| {
        swarm.links[one].iter().filter(|&&link| link as usize == other).count()
    };
    for one in 0..64 {
        for other in 0..64 {
            assert_eq!(ends(one, other), ends(other, one));
        }
        assert_eq!(ends(one, one), 0);
    }
}
