//! Who a page is: the same over visits, and never two at once.

use crate::native::Origin;
use crate::stage::Stage;
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Debug, Deserialize)]
struct Seen {
    first: String,
    second: String,
    /// Before and after.
    restarted: Vec<String>,
    reloaded: String,
    third: String,
    fresh: String,
    ephemeral: String,
    given: String,
    kept: Vec<String>,
    elsewhere: String,
    errors: Vec<String>,
}

#[test]
fn a_page_is_the_same_peer_over_visits_and_two_tabs_are_two() {
    let stage = Stage::set();
    let _origin = Origin::with_links(&stage, 24);
    let seen: Seen = stage.play("identity.mjs", &[]).finish();
    println!("{seen:#?}");
    assert_eq!(seen.restarted, [seen.second.clone(), seen.second.clone()], "it is over before");
    assert_eq!(seen.reloaded, seen.second);
    assert_eq!(seen.third, seen.first, "the tab that was it is closed");
    let all = [&seen.first, &seen.second, &seen.fresh, &seen.ephemeral, &seen.elsewhere];
    assert_eq!(BTreeSet::from(all).len(), all.len());
    assert!(seen.given.contains("use 'kept', 'new' or 32 secret bytes"));
    assert_eq!(seen.kept.len(), 2, "as many as were at once");
    assert_eq!(seen.errors, Vec::<String>::new());
}
