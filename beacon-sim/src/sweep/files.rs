//! What a sweep leaves behind: CSV, Markdown and figures.

use super::value::{label, number_of};
use super::{Axis, METRICS, Metric, Row, SUPPLY, Sweep, SweepError};
use crate::plot::{Figure, Panel, Series};
use crate::table;
use std::path::{Path, PathBuf};

/// Writes `NAME.csv`, `NAME.md` and `NAME*.svg` into a folder; gives back what was written.
///
/// # Errors
/// [`SweepError::Write`] naming the file, [`SweepError::Plot`].
pub fn write(sweep: &Sweep, rows: &[Row], folder: &Path) -> Result<Vec<PathBuf>, SweepError> {
    let mut written = Vec::new();
    let mut put = |name: String, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| SweepError::Write(path.clone(), e))?;
        written.push(path);
        Ok::<(), SweepError>(())
    };
    put(format!("{}.csv", sweep.name), csv(sweep, rows))?;
    let figures = figures(sweep, rows);
    let mut text = format!("## {}\n\n", sweep.name);
    if !sweep.about.is_empty() {
        text.push_str(&format!("{}\n\n", sweep.about));
    }
    text.push_str(&markdown(sweep, rows));
    for (name, figure) in &figures {
        text.push_str(&format!("\n![{}]({name}.svg)\n", figure.title));
    }
    put(format!("{}.md", sweep.name), text)?;
    for (name, figure) in figures {
        put(format!("{name}.svg"), figure.svg()?)?;
    }
    Ok(written)
}

/// One line per cell, as Markdown: its settings, and means ± half of the 95 % interval.
#[must_use]
pub fn markdown(sweep: &Sweep, rows: &[Row]) -> String {
    let settings = |row: &Row| -> Vec<String> {
        let at = &sweep.cells[row.cell].at;
        sweep.axes.iter().zip(at).map(|(axis, at)| label(&axis.values[*at])).collect()
    };
    let heads = sweep.axes.iter().map(|axis| axis.field.clone());
    let metrics = METRICS.iter().map(|metric| metric.title.to_owned());
    let heads: Vec<String> = heads.chain(metrics).collect();
    let body: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let values = METRICS
                .iter()
                .zip(&row.values)
                .map(|(metric, value)| table::estimate(value, metric.digits));
            settings(row).into_iter().chain(values).collect()
        })
        .collect();
    let runs = rows.iter().map(|row| row.runs);
    let (least, most) = (runs.clone().min().unwrap_or(0), runs.max().unwrap_or(0));
    let runs = if least == most { least.to_string() } else { format!("{least} to {most}") };
    let note = format!("\nMeans of {runs} seeds ± half of the 95 % interval (Student's t).\n");
    table::markdown(&heads, &body, sweep.axes.len()) + &note
}

/// One line per cell: its settings, runs, and mean and half interval of each metric.
fn csv(sweep: &Sweep, rows: &[Row]) -> String {
    let mut heads: Vec<String> = sweep.axes.iter().map(|axis| axis.field.clone()).collect();
    heads.push("runs".to_owned());
    for metric in METRICS {
        heads.push(metric.name.to_owned());
        heads.push(format!("{}_half95", metric.name));
    }
    let line = |cells: &[String]| {
        cells.iter().map(|cell| table::csv_cell(cell)).collect::<Vec<_>>().join(",") + "\n"
    };
    let mut text = line(&heads);
    for row in rows {
        let at = &sweep.cells[row.cell].at;
        let mut cells: Vec<String> =
            sweep.axes.iter().zip(at).map(|(axis, at)| label(&axis.values[*at])).collect();
        cells.push(row.runs.to_string());
        for (metric, value) in METRICS.iter().zip(&row.values) {
            let shown = |number: f64| {
                if number.is_finite() { (number / metric.scale).to_string() } else { String::new() }
            };
            cells.extend([shown(value.mean), shown(value.half)]);
        }
        text.push_str(&line(&cells));
    }
    text
}

/// One figure for each combination of the axes that are neither x nor lines.
fn figures(sweep: &Sweep, rows: &[Row]) -> Vec<(String, Figure)> {
    let rest: Vec<usize> =
        (0..sweep.axes.len()).filter(|a| *a != sweep.x && Some(*a) != sweep.lines).collect();
    let mut kinds: Vec<Vec<usize>> = Vec::new();
    for row in rows {
        let kind = rest.iter().map(|axis| sweep.cells[row.cell].at[*axis]).collect();
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let figure = |kind: Vec<usize>| {
        let same = |row: &&Row| {
            rest.iter().zip(&kind).all(|(axis, at)| sweep.cells[row.cell].at[*axis] == *at)
        };
        let rows: Vec<&Row> = rows.iter().filter(same).collect();
        let fixed = rest.iter().zip(&kind).map(|(axis, at)| {
            let axis = &sweep.axes[*axis];
            (axis.field.as_str(), label(&axis.values[*at]))
        });
        let fixed: Vec<(&str, String)> = fixed.collect();
        let mut name = sweep.name.clone();
        let mut title = sweep.name.clone();
        for (field, value) in fixed {
            name.push_str(&format!("-{field}-{}", value.replace(' ', "-")));
            title.push_str(&format!(", {field} {value}"));
        }
        (name, draw(sweep, &rows, title))
    };
    kinds.into_iter().map(figure).collect()
}

fn draw(sweep: &Sweep, rows: &[&Row], title: String) -> Figure {
    let axis = &sweep.axes[sweep.x];
    let numbers: Option<Vec<f64>> = axis.values.iter().map(number_of).collect();
    let panel = |metric: &&'static Metric| {
        let of = |line: Option<usize>| {
            let here = move |row: &&&Row| {
                let at = &sweep.cells[row.cell].at;
                line.is_none_or(|line| sweep.lines.is_none_or(|axis| at[axis] == line))
            };
            rows.iter()
                .filter(here)
                .map(|row| (sweep.cells[row.cell].at[sweep.x], row.value(metric)))
        };
        let series = match sweep.lines {
            None => vec![Series { name: String::new(), points: of(None).collect() }],
            Some(lines) => sweep.axes[lines]
                .values
                .iter()
                .enumerate()
                .map(|(line, value)| Series {
                    name: label(value),
                    points: of(Some(line)).collect(),
                })
                .collect(),
        };
        Panel { title: metric.axis.to_owned(), most: metric.most, series }
    };
    Figure {
        title,
        x_title: x_title(axis),
        ticks: axis.values.iter().map(label).collect(),
        numbers,
        panels: sweep.panels.iter().map(panel).collect(),
    }
}

fn x_title(axis: &Axis) -> String {
    match axis.field.as_str() {
        SUPPLY => "supply ratio (mean uplink / stream)",
        "peers" => "viewers",
        "network.loss" => "frames lost, %",
        "engine.segment_ms" => "segment, ms",
        "grain.burst" => "symbols per burst",
        "churn.stay" => "how long viewers stay",
        other => other,
    }
    .to_owned()
}
