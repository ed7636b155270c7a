//! `<beacon-player>` as a person has it: consent, touch and keys, what refuses it, and what it does then.
//!
//! Needs what the tests in `browser/` need. Leaves pictures of the states in `screenshots` of the
//! target folder.
#![allow(clippy::unwrap_used, missing_docs)]

use serde::Deserialize;
use serde::de::DeserializeOwned;
use stage::{Stage, screenshots};
use std::fmt::Debug;

mod stage;

/// What a page's player is at.
#[derive(Debug, Deserialize)]
struct Look {
    state: String,
    reason: String,
    cure: String,
    paused: bool,
    live: bool,
    upload: String,
    playback: String,
    remark: String,
    /// All that there were.
    states: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Seen<T> {
    seen: T,
    errors: Vec<String>,
}

fn play<T: DeserializeOwned + Debug>(what: &str) -> T {
    let folder = screenshots();
    let args = [folder.to_str().unwrap(), what];
    let Seen { seen, errors } = Stage::set().play("player.mjs", &args).finish::<Seen<T>>();
    println!("{seen:#?}");
    assert_eq!(errors, Vec::<String>::new());
    seen
}

#[derive(Debug, Deserialize)]
struct Consent {
    before: Look,
    again: Look,
    bare: Look,
}

#[test]
fn it_asks_once_before_it_connects() {
    let Consent { before, again, bare } = play("consent");
    assert_eq!((before.state.as_str(), before.states.len()), ("", 0), "nothing is connected");
    assert!(again.live && again.state == "playing", "the answer outlasts the page: {again:?}");
    // Where nothing can be stored it lasts as long as the page, and so does what is passed on.
    assert_eq!((bare.state.as_str(), bare.upload.as_str()), ("playing", "off"));
}

#[derive(Debug, Deserialize)]
struct Touch {
    /// Whether it was paused after a tap on the picture, and on a button that had faded.
    taps: [bool; 2],
    fits: bool,
    choices: u32,
    focused: String,
}

#[test]
fn a_tap_brings_the_controls_before_it_pauses() {
    let Touch { taps, fits, choices, focused } = play("touch");
    assert_eq!(taps, [false, false]);
    assert!(fits && choices >= 5, "the menu can be closed where it is open");
    assert_eq!(focused, "give", "the keys are back where they were");
}

#[derive(Debug, Deserialize)]
struct Keys {
    began: String,
    first: String,
    within: String,
    after: String,
    live: bool,
    paused: bool,
}

#[test]
fn keys_work_at_once_and_follow_the_eye() {
    let Keys { began, first, within, after, live, paused } = play("keys");
    assert_eq!((began.as_str(), first.as_str()), ("BODY", "A"), "the page is read from its top");
    assert_eq!((within.as_str(), after.as_str()), ("give", "give"), "the choice, then its button");
    assert!(live && !paused, "two clicks are no pause");
}

#[derive(Debug, Deserialize)]
struct Again {
    /// What the menu says on a metered connection.
    sparing: String,
    changed: Look,
    blocked: Look,
    pressed: Look,
}

/// Since it had media for the first time, it has not connected anew.
fn played_on(look: &Look) -> bool {
    !look
        .states
        .iter()
        .skip_while(|state| *state == "connecting")
        .any(|state| state == "connecting")
}

#[test]
fn it_goes_on_through_changes_and_comes_back() {
    let Again { sparing, changed, blocked, pressed } = play("again");
    assert!(sparing.contains("Nothing is passed on now"), "{sparing}");
    assert_eq!((changed.state.as_str(), changed.upload.as_str()), ("playing", "800"));
    assert!(played_on(&changed), "another limit connects nothing anew: {changed:?}");
    assert_eq!((blocked.state.as_str(), blocked.paused), ("paused", true));
    assert!(pressed.state == "playing" && played_on(&pressed), "{pressed:?}");
}

#[derive(Debug, Deserialize)]
struct Refused {
    wasm: Look,
    worker: Look,
    webrtc: Look,
    media: Look,
    told: String,
    relay: String,
}

#[test]
fn refusals_say_what_is_missing_and_what_helps() {
    let Refused { wasm, worker, webrtc, media, told, relay } = play("refused");
    for look in [&wasm, &worker] {
        assert!(look.reason.contains("policy of this page"), "{look:?}");
    }
    assert!(wasm.cure.contains("'wasm-unsafe-eval'"), "{wasm:?}");
    assert!(worker.cure.contains("worker-src 'self'"), "{worker:?}");
    assert!(webrtc.reason.contains("WebRTC") && webrtc.cure.contains("current"), "{webrtc:?}");
    assert!(media.reason.contains("Media Source Extensions"), "{media:?}");
    assert!(told.starts_with("refused: This browser has no WebRTC"), "who asks is told: {told}");
    assert_eq!(relay, "connecting", "a relay plays nothing");
}

#[derive(Debug, Deserialize)]
struct Server {
    lost: Look,
    back: Look,
    old: Look,
    stale: Look,
}

#[test]
fn it_waits_for_signaling_but_not_for_another_version_of_it() {
    let Server { lost, back, old, stale } = play("server");
    assert_eq!(lost.state, "connecting");
    assert!(lost.reason.contains("cannot be reached"), "{lost:?}");
    assert_eq!(back.state, "playing", "it begins by itself: {back:?}");
    assert!(old.reason.contains("was updated"), "{old:?}");
    assert_eq!(old.cure, "Reload this page.");
    assert!(stale.reason.contains("different versions"), "{stale:?}");
    assert!(stale.cure.contains("Reload this page"), "{stale:?}");
}

#[derive(Debug, Deserialize)]
struct Codecs {
    plays: Look,
    refused: Look,
}

#[test]
fn what_one_way_cannot_play_the_other_does() {
    let Codecs { plays, refused } = play("codecs");
    assert_eq!((plays.state.as_str(), plays.playback.as_str()), ("playing", "webcodecs"));
    assert!(plays.remark.contains("no player for vp8"), "{plays:?}");
    assert!(refused.reason.contains("no player for vp8"), "{refused:?}");
    assert!(refused.reason.contains("decodes no single frames"), "{refused:?}");
    assert!(refused.cure.contains("another browser"), "{refused:?}");
}
