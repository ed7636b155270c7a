//! Tables: reports as text, sweeps as Markdown.

use crate::report::Report;
use crate::sweep::Estimate;

/// A mean and its half interval: `12.3 ± 0.4`; a dash when there is none.
#[must_use]
pub fn estimate(value: &Estimate, digits: usize) -> String {
    let Estimate { mean, half, count } = value;
    match count {
        0 => "–".to_owned(),
        1 => format!("{mean:.digits$}"),
        _ => format!("{mean:.digits$} ± {half:.digits$}"),
    }
}

/// A table in Markdown, its columns padded; the first `left` columns are aligned left.
#[must_use]
pub fn markdown(heads: &[String], rows: &[Vec<String>], left: usize) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).chain(heads.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            if at < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let rule = |(at, width): (usize, &usize)| {
        if at < left { "-".repeat(width + 2) } else { format!("{}:", "-".repeat(width + 1)) }
    };
    let rules: Vec<String> = widths.iter().enumerate().map(rule).collect();
    let body: String = rows.iter().map(|row| line(row)).collect();
    format!("{}|{}|\n{body}", line(heads), rules.join("|"))
}

/// A cell of a CSV file (RFC 4180): quoted where it has to be.
#[must_use]
pub fn csv_cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Characters of a full bar.
const BAR: usize = 40;

/// Bars of text, longest `most`: a plot for a terminal.
#[must_use]
pub fn bars(title: &str, most: f64, bars: &[(String, f64, String)]) -> String {
    let wide = bars.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    let mut text = format!("{title}\n");
    for (name, value, shown) in bars {
        let share =
            if most > 0.0 && value.is_finite() { (value / most).clamp(0.0, 1.0) } else { 0.0 };
        let long = (share * BAR as f64).round() as usize;
        text.push_str(&format!("  {name:<wide$} {:<BAR$} {shown}\n", "█".repeat(long)));
    }
    text
}

/// One run, to be read.
#[must_use]
pub fn report(report: &Report) -> String {
    let Report { continuity, delay_ms, startup_ms, recovery_ms, .. } = report;
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let mut lines: Vec<(&str, String)> = vec![
        ("plan", format!("{}, {}, seed {}", report.plan, report.scheduler, report.seed)),
        ("viewers", format!("{} at a time, {} in all", report.peers, report.viewers)),
        (
            "delivered in",
            format!(
                "0.8 s {}   2 s {}   4 s {}   10 s {}",
                percent(continuity.s0_8),
                percent(continuity.s2),
                percent(continuity.s4),
                percent(continuity.s10)
            ),
        ),
        (
            "worst tenth",
            format!("{} within the playout delay", percent(report.continuity_worst_decile)),
        ),
        ("delay", spread(delay_ms.p50, delay_ms.p95, delay_ms.p99)),
    ];
    if report.bound_ms > 0.0 {
        let bound = format!(
            "{:.1} × {:.0} ms, what a greedy snowball of single symbols takes (a reference)",
            report.eta_delay, report.bound_ms
        );
        lines.push(("beyond a segment", bound));
    }
    if startup_ms.p50 > 0 {
        lines.push(("startup", format!("p50 {} ms   p95 {} ms", startup_ms.p50, startup_ms.p95)));
    }
    if recovery_ms.p99 > 0 {
        let stalled = report.stalled_survivors;
        let told = spread(recovery_ms.p50, recovery_ms.p95, recovery_ms.p99);
        lines.push(("recovery", format!("{told}   {stalled} survivors stalled")));
    }
    lines.extend([
        ("duplicates", format!("{} of received", percent(report.duplicates))),
        ("control", format!("{} of useful bytes", percent(report.control))),
        (
            "source",
            format!("{:.2} streams, offload {}", report.source_ratio, percent(report.offload)),
        ),
        (
            "supply",
            format!(
                "{:.2} streams of uplink per viewer; the origin counts {:.2}, publishes {}",
                report.supply,
                report.supply_seen,
                percent(report.published)
            ),
        ),
        ("fairness", format!("{:.4} (Jain, goodput)", report.jain)),
        (
            "trees",
            format!(
                "depth {}, {:.2} new parents per viewer and minute",
                report.depth_max, report.reparents_per_peer_min
            ),
        ),
        (
            "stalls",
            format!(
                "{:.2} per viewer and minute, {} never played",
                report.stalls_per_peer_min, report.never_played
            ),
        ),
        ("wrong bytes", report.bad_bytes.to_string()),
        (
            "cost",
            format!(
                "{:.1} CPU s, {} events/s, {} KiB per peer",
                report.cpu_s,
                report.events_per_cpu_s,
                report.bytes_per_peer / 1024
            ),
        ),
        ("hash", report.hash.clone()),
    ]);
    let wide = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    lines.iter().map(|(name, text)| format!("{name:<wide$}  {text}\n")).collect()
}

fn spread(p50: u64, p95: u64, p99: u64) -> String {
    format!("p50 {p50} ms   p95 {p95} ms   p99 {p99} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let heads = ["name".to_owned(), "value, %".to_owned()];
        let rows = [
            vec!["a".to_owned(), "1 ± 0".to_owned()],
            vec!["long name".to_owned(), "–".to_owned()],
        ];
        let text = markdown(&heads, &rows, 1);
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
        assert!(text.lines().nth(1).is_some_and(|rule| rule.ends_with(":|")), "{text}");
    }

    #[test]
    fn cells_with_commas_are_quoted() {
        assert_eq!(csv_cell("1.5"), "1.5");
        assert_eq!(csv_cell("a, \"b\""), "\"a, \"\"b\"\"\"");
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let text =
            bars("t", 2.0, &[("a".into(), 1.0, "1".into()), ("b".into(), f64::NAN, "–".into())]);
        assert_eq!(text.matches('█').count(), BAR / 2);
    }

    #[test]
    fn a_report_names_its_bound_when_it_has_one() {
        let mut of = Report { bound_ms: 120.0, eta_delay: 3.0, ..Report::default() };
        assert!(report(&of).contains("3.0 × 120 ms"));
        of.bound_ms = 0.0;
        assert!(!report(&of).contains("snowball"));
    }
}
