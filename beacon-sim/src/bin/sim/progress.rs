//! How far it is, on standard error: a line that changes on a terminal, else one every 10 s.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const QUIET: Duration = Duration::from_secs(10);

/// Shows one line after the other.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
    last: Instant,
    wide: usize,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), last: Instant::now(), wide: 0 }
    }

    pub(crate) fn show(&mut self, line: &str) {
        if self.terminal {
            let wide = self.wide;
            eprint!("\r{line:<wide$}");
            let _ = std::io::stderr().flush();
            self.wide = line.chars().count();
        } else if self.last.elapsed() >= QUIET {
            self.last = Instant::now();
            eprintln!("{line}");
        }
    }

    /// Clears the line for what follows.
    pub(crate) fn end(self) {
        if self.terminal && self.wide > 0 {
            eprint!("\r{:wide$}\r", "", wide = self.wide);
        }
    }
}
