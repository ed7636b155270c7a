//! Pages in one Chromium, led from here: see `browser/remote.mjs`.

use crate::stage::{PATIENCE, Play, Stage};
use beacon_sdk::{LinkStats, Stats};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// Pages of one browser, which ends with them.
pub(crate) struct Pages(RefCell<Play>);

/// What a page is at.
#[derive(Debug, Deserialize)]
pub(crate) struct Look {
    /// Of the player, in seconds.
    pub(crate) time: f64,
    /// Of the picture, in pixels.
    pub(crate) height: u32,
    /// Pictures shown.
    pub(crate) frames: u64,
    /// Times the player had nothing to show, for whatever reason.
    pub(crate) stalls: u64,
    /// Of the player; why it failed, of a page without one.
    pub(crate) state: String,
    /// Names of events, oldest first.
    pub(crate) told: Vec<String>,
    /// None before it has asked for the first time.
    pub(crate) stats: Option<Shown>,
    /// Length and checksum of each object, of a page that hears.
    pub(crate) objects: Vec<(usize, u32)>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    pub(crate) all: Stats,
    pub(crate) links: Vec<LinkStats>,
}

#[derive(Deserialize)]
struct Answer {
    done: Option<Value>,
    error: Option<String>,
}

impl Look {
    /// The counters; zeros before there are any.
    pub(crate) fn stats(&self) -> Stats {
        self.stats.as_ref().map(|shown| shown.all.clone()).unwrap_or_default()
    }
}

impl Pages {
    pub(crate) fn of(stage: &Stage) -> Self {
        Self(RefCell::new(stage.play("remote.mjs", &[])))
    }

    fn order<T: DeserializeOwned>(&self, order: &Value) -> T {
        let answer: Answer = self.0.borrow_mut().ask(order);
        assert_eq!(answer.error, None, "{order}");
        serde_json::from_value(answer.done.unwrap_or_default()).unwrap()
    }

    /// A page with a player that keeps so many links at most.
    pub(crate) fn watch(&self, page: &str, links: u16) {
        let path = format!("/watch?name=test&max-links={links}");
        self.order(&json!({"do": "watch", "page": page, "path": path}))
    }

    /// What `browser/remote.mjs` knows to do with a page: `stop`, `reload`, `leave`, `crash`, `shut`.
    pub(crate) fn make(&self, page: &str, deed: &str) {
        println!("{page}: {deed}");
        self.order(&json!({"do": deed, "page": page}))
    }

    /// A page without a player that keeps a checksum of each object, and so many links at most.
    pub(crate) fn hear(&self, page: &str, links: u16) {
        self.order(&json!({"do": "hear", "page": page, "name": "test", "links": links}))
    }

    pub(crate) fn look(&self, page: &str) -> Look {
        self.order(&json!({"do": "look", "page": page}))
    }

    /// What pages have said went wrong in them.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.order(&json!({"do": "errors"}))
    }

    /// Looks until it is as wanted.
    pub(crate) fn until(&self, page: &str, what: &str, done: impl Fn(&Look) -> bool) -> Look {
        let begun = Instant::now();
        let until = begun + PATIENCE;
        loop {
            let look = self.look(page);
            if done(&look) {
                println!("{page}: {what}, after {:.1} s", begun.elapsed().as_secs_f64());
                return look;
            }
            assert!(Instant::now() < until, "{page}: {what}: {look:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until a page's player plays, and has asked for counters.
    pub(crate) fn plays(&self, page: &str) -> Look {
        self.until(page, "it plays", |look| {
            let counted = look.stats().segments_delivered > 0;
            look.state == "playing" && look.frames > 10 && counted
        })
    }

    /// Waits until a page has played on from here, and plays.
    pub(crate) fn plays_on(&self, page: &str, seconds: f64) -> Look {
        let before = self.look(page);
        self.until(page, "it plays on", |look| {
            let on = look.time > before.time + seconds && look.frames > before.frames + 30;
            on && look.state == "playing"
        })
    }
}
