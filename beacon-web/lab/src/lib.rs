//! The laboratory in a page: a world of `beacon-sim`, played out in a worker as fast as the page wants it.
//!
//! A module of its own, so that pages that watch do not load a simulator. `pages/lab-worker.js` of
//! `beacon-web` is its user.
#![cfg(target_family = "wasm")]

use beacon_sdk::policy::NAMES;
use beacon_sim::plan::{Event, Plan, What};
use beacon_sim::world::World;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use wasm_bindgen::prelude::*;

/// Viewers of one plan at most: a page is to stay usable.
const VIEWERS_MAX: u32 = 200;

/// A plan being played out.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Lab {
    world: World,
    end: Duration,
}

/// The names of all schedulers.
#[wasm_bindgen]
#[must_use]
pub fn schedulers() -> Vec<String> {
    NAMES.iter().map(|name| (*name).to_owned()).collect()
}

/// What a person does to a running world, and how it stands in a plan.
#[derive(Deserialize, Serialize)]
struct Doing {
    event: Vec<Event>,
}

#[wasm_bindgen]
impl Lab {
    /// The world of a plan, TOML; its seed is the plan's.
    ///
    /// # Errors
    /// One sentence that says what is wrong with the plan.
    #[wasm_bindgen(constructor)]
    pub fn new(plan: &str) -> Result<Lab, String> {
        let plan = Plan::parse(plan).map_err(said)?;
        if plan.peers > VIEWERS_MAX {
            return Err(format!("a page simulates {VIEWERS_MAX} viewers at most"));
        }
        let end = Duration::from_secs(u64::from(plan.warmup_s) + u64::from(plan.measure_s));
        Ok(Self { world: World::new(&plan, plan.seed).map_err(said)?, end })
    }

    /// Plays on until so many milliseconds from the start, or to the end of the plan. Gives where it is, ms.
    #[wasm_bindgen(js_name = runUntil)]
    pub fn run_until(&mut self, ms: f64) -> f64 {
        self.world.run_until(Duration::from_micros((ms.max(0.0) * 1e3) as u64).min(self.end));
        self.world.now().as_secs_f64() * 1e3
    }

    /// The whole length, ms.
    #[wasm_bindgen(getter)]
    pub fn end(&self) -> f64 {
        self.end.as_secs_f64() * 1e3
    }

    /// The world as it is: a `Sight` of `beacon-sim`, JSON.
    ///
    /// # Errors
    /// None that is known.
    pub fn sight(&mut self) -> Result<String, String> {
        serde_json::to_string(&self.world.sight()).map_err(said)
    }

    /// Percent of the viewers vanish. This and the next two give the event as it belongs into the plan.
    ///
    /// # Errors
    /// One sentence that says why not.
    pub fn kill(&mut self, percent: u32) -> Result<String, String> {
        self.happen(What::Kill(percent.min(100)))
    }

    /// More viewers come, most of them within `tau_s` seconds; not more than a page simulates.
    ///
    /// # Errors
    /// One sentence that says why not.
    pub fn crowd(&mut self, peers: u32, tau_s: f64) -> Result<String, String> {
        let room = VIEWERS_MAX.saturating_sub(self.world.viewers());
        if room == 0 {
            return Err(format!("a page simulates {VIEWERS_MAX} viewers at most"));
        }
        self.happen(What::Crowd { peers: peers.min(room), tau_s })
    }

    /// The network loses this percentage of frames from now on.
    ///
    /// # Errors
    /// One sentence that says why not.
    pub fn lose(&mut self, percent: f64) -> Result<String, String> {
        self.happen(What::Loss(percent))
    }

    fn happen(&mut self, what: What) -> Result<String, String> {
        let event = self.world.happen_soon(what).map_err(said)?;
        toml::to_string(&Doing { event: vec![event] }).map_err(said)
    }
}

fn said(error: impl core::fmt::Display) -> String {
    error.to_string()
}
