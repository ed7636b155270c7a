//! From a score to a role: with bands that overlap, and not before it has lasted.

use crate::plugin::Role;
use crate::time::Instant;
use core::time::Duration;

/// A role is kept at least so long (theory.md §3).
const DWELL: Duration = Duration::from_secs(60);
/// How long a score must have been in the band of another role, by role (theory.md §3).
const TO_SUPER: Duration = Duration::from_secs(30);
const FROM_SUPER: Duration = Duration::from_secs(15);
const RELAY: Duration = Duration::from_secs(10);

/// The role of a peer, and the one that it would have if it lasted.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Tenure {
    role: Role,
    /// Since when; the first role may be left at any time.
    since: Option<Instant>,
    wish: Role,
    wished: Instant,
}

impl Default for Tenure {
    fn default() -> Self {
        Self { role: Role::Leaf, since: None, wish: Role::Leaf, wished: Instant::ZERO }
    }
}

impl Tenure {
    /// The role.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// What it is at `now`, with a score of 0–100 and a capacity (sub-score, 0–100): a super-seed has both
    /// above 75 and 70, a relay a score above 50. Who is in a role stays in it until 3 points below
    /// that, and comes into it from 3 points above.
    #[must_use]
    pub fn next(mut self, now: Instant, score: u8, capacity: u8) -> Self {
        let margin = |role: Role| i16::from(self.role == role) * 6 - 3;
        let (score, capacity) = (i16::from(score), i16::from(capacity));
        let above = |value: i16, bound: i16, role: Role| value + margin(role) >= bound;
        let wish = if above(score, 75, Role::SuperSeed) && above(capacity, 70, Role::SuperSeed) {
            Role::SuperSeed
        } else if above(score, 50, Role::Relay) || self.role == Role::SuperSeed && score >= 50 {
            Role::Relay
        } else {
            Role::Leaf
        };
        if wish != self.wish {
            (self.wish, self.wished) = (wish, now);
        }
        let lasting = match (self.role, wish) {
            (_, Role::SuperSeed) => TO_SUPER,
            (Role::SuperSeed, _) => FROM_SUPER,
            _ => RELAY,
        };
        let stayed = self.since.is_none_or(|since| since + DWELL <= now);
        if wish != self.role && stayed && self.wished + lasting <= now {
            (self.role, self.since) = (wish, Some(now));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The roles of a peer whose score and capacity are these for so many seconds each.
    fn roles(story: &[(u64, u8, u8)]) -> Vec<Role> {
        let (mut now, mut tenure) = (Instant::from_micros(1_000_000), Tenure::default());
        let mut roles = Vec::new();
        for &(seconds, score, capacity) in story {
            for _ in 0..seconds {
                tenure = tenure.next(now, score, capacity);
                now = now + Duration::from_secs(1);
            }
            roles.push(tenure.role());
        }
        roles
    }

    #[test]
    fn roles_have_to_be_earned_and_are_lost_sooner() {
        use Role::{Leaf, Relay, SuperSeed};
        assert_eq!(roles(&[(10, 60, 30), (1, 60, 30)]), [Leaf, Relay]);
        assert_eq!(roles(&[(30, 90, 80), (1, 90, 80)]), [Leaf, SuperSeed]);
        assert_eq!(roles(&[(61, 90, 69), (1, 90, 69)]), [Relay, Relay], "no bandwidth");
        assert_eq!(
            roles(&[(91, 90, 80), (15, 60, 80), (1, 60, 80)]),
            [SuperSeed, SuperSeed, Relay]
        );
        assert_eq!(roles(&[(91, 90, 80), (16, 20, 80)]), [SuperSeed, Leaf]);
    }

    #[test]
    fn what_is_within_three_points_changes_nothing() {
        use Role::{Leaf, Relay, SuperSeed};
        assert_eq!(roles(&[(300, 52, 30)]), [Leaf]);
        assert_eq!(roles(&[(70, 53, 30), (300, 47, 30), (11, 46, 30)]), [Relay, Relay, Leaf]);
        assert_eq!(roles(&[(300, 77, 80)]), [Relay]);
        assert_eq!(
            roles(&[(91, 78, 73), (300, 72, 67), (16, 71, 67)]),
            [SuperSeed, SuperSeed, Relay]
        );
    }

    #[test]
    fn a_score_that_swings_swings_no_role() {
        let mut story = Vec::new();
        for _ in 0..50 {
            story.extend([(9, 90, 90), (9, 10, 10)]);
        }
        assert!(roles(&story).iter().all(|role| *role == Role::Leaf));
    }

    #[test]
    fn a_role_is_kept_for_a_minute() {
        let story: Vec<(u64, u8, u8)> = (0..40).map(|at| (11, [60, 10][at % 2], 30)).collect();
        let roles = roles(&story);
        let changes = roles.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!((2..=440 / 60).contains(&changes), "{roles:?}");
    }
}
