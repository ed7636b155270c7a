//! Figures as SVG: lines over a setting, with intervals, readable in black and white.
//!
//! Each line has a colour of the palette that Okabe and Ito (2008) made for colour-blind readers,
//! a dash and a marker of its own. Text is text: no font is needed to draw a figure.

use crate::sweep::Estimate;
use core::ops::Range;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Width and height of a panel, and width of the legend, in pixels.
const PANEL: (u32, u32) = (400, 300);
const LEGEND: u32 = 150;
const TITLE: u32 = 34;
/// The widest spread of numbers that is drawn on a linear axis; beyond, equal ratios are equally far.
const LINEAR_MAX: f64 = 15.0;
const FONT: &str = "sans-serif";
/// Colours after Okabe and Ito; their yellow cannot be seen on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 0, 0),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
/// Dash and gap in pixels; no gap is a solid line.
const DASHES: [(i32, i32); 4] = [(1, 0), (8, 4), (3, 3), (12, 3)];
/// Corners of markers; even ones are filled, odd ones open when their turn comes again.
const MARKERS: [&[(i32, i32)]; 5] = [
    &[(-4, -4), (4, -4), (4, 4), (-4, 4)],
    &[(0, -5), (5, 4), (-5, 4)],
    &[(0, -6), (6, 0), (0, 6), (-6, 0)],
    &[(0, 5), (5, -4), (-5, -4)],
    &[(-2, -5), (2, -5), (5, -2), (5, 2), (2, 5), (-2, 5), (-5, 2), (-5, -2)],
];

/// Panels over one setting, with a legend.
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    /// Above all.
    pub title: String,
    /// Below each panel, with its unit.
    pub x_title: String,
    /// What stands at the places of the setting.
    pub ticks: Vec<String>,
    /// The places as numbers; without, they are equally far apart and not joined by lines.
    pub numbers: Option<Vec<f64>>,
    /// One beside the other, two in a row.
    pub panels: Vec<Panel>,
}

/// One metric.
#[derive(Clone, PartialEq, Debug)]
pub struct Panel {
    /// Beside the axis, with its unit.
    pub title: String,
    /// Nothing is above: the axis ends there at the latest.
    pub most: f64,
    /// The lines.
    pub series: Vec<Series>,
}

/// One line.
#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    /// In the legend; nothing for the only one.
    pub name: String,
    /// Index of the place, and what was there. Estimates that are no numbers are not drawn.
    pub points: Vec<(usize, Estimate)>,
}

/// A figure that cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw the figure: {0}")]
pub struct PlotError(String);

/// Any error of the library's.
fn failed(error: impl core::fmt::Display) -> PlotError {
    PlotError(error.to_string())
}

impl Figure {
    /// The figure as an SVG document.
    ///
    /// # Errors
    /// [`PlotError`] with the library's words.
    pub fn svg(&self) -> Result<String, PlotError> {
        let columns = self.panels.len().clamp(1, 2) as u32;
        let rows = self.panels.len().div_ceil(2).max(1) as u32;
        let named = self.names().iter().any(|name| !name.is_empty());
        let legend = if named { LEGEND } else { 0 };
        let size = (columns * PANEL.0 + legend, TITLE + rows * self.height());
        let mut text = String::new();
        {
            let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
            root.fill(&WHITE).map_err(failed)?;
            let (head, body) = root.split_vertically(TITLE);
            let style = (FONT, 16).into_font().style(FontStyle::Bold).color(&BLACK);
            head.draw_text(&self.title, &style, (10, 10)).map_err(failed)?;
            let (body, side) = body.split_horizontally(columns * PANEL.0);
            let cells = body.split_evenly((rows as usize, columns as usize));
            for (panel, area) in self.panels.iter().zip(&cells) {
                self.panel(panel, area)?;
            }
            if named {
                self.legend(&side)?;
            }
            root.present().map_err(failed)?;
        }
        Ok(joined(&text))
    }

    fn names(&self) -> Vec<&str> {
        self.panels.first().into_iter().flat_map(|p| &p.series).map(|s| s.name.as_str()).collect()
    }

    /// Room for names of places that are turned upright.
    fn height(&self) -> u32 {
        if self.upright() { PANEL.1 + 70 } else { PANEL.1 }
    }

    fn upright(&self) -> bool {
        self.numbers.is_none() && self.ticks.iter().any(|tick| tick.len() > 6)
    }

    /// Where the places are on the axis.
    fn places(&self) -> Vec<f64> {
        let Some(numbers) = &self.numbers else {
            return (0..self.ticks.len()).map(|place| place as f64).collect();
        };
        let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let ratios = least > 0.0 && most / least > LINEAR_MAX;
        numbers.iter().map(|number| if ratios { number.log10() } else { *number }).collect()
    }

    fn panel(&self, panel: &Panel, area: &Area<'_>) -> Result<(), PlotError> {
        let places = self.places();
        let (low, high) = extent(places.iter().copied(), 0.08);
        let ticks = places.iter().copied().zip(self.ticks.iter().cloned()).collect();
        let scale = Scale { inner: (low..high).into(), ticks };
        let (floor, roof) = panel.extent();
        let below = if self.upright() { 115 } else { 45 };
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(14)
            .x_label_area_size(below)
            .y_label_area_size(62)
            .build_cartesian_2d(scale, floor..roof)
            .map_err(failed)?;
        let small = (FONT, 12).into_font();
        let turned = if self.upright() {
            small.clone().transform(FontTransform::Rotate90)
        } else {
            small.clone()
        };
        let digits = if roof - floor < 0.2 {
            3
        } else if roof - floor < 4.0 {
            2
        } else {
            0
        };
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.12))
            .axis_style(BLACK)
            .x_labels(places.len())
            .y_labels(6)
            .y_label_formatter(&|value| format!("{value:.digits$}"))
            .x_label_style(turned)
            .y_label_style(small)
            .x_desc(&self.x_title)
            .y_desc(&panel.title)
            .axis_desc_style((FONT, 13))
            .draw()
            .map_err(failed)?;
        for (number, series) in panel.series.iter().enumerate() {
            let at = |(place, value): &(usize, Estimate)| {
                let place = places.get(*place).copied()?;
                value.mean.is_finite().then_some((place, *value))
            };
            let points: Vec<(f64, Estimate)> = series.points.iter().filter_map(at).collect();
            let line: Vec<(f64, f64)> = points.iter().map(|(x, value)| (*x, value.mean)).collect();
            let style = colour(number).stroke_width(2);
            let (dash, gap) = dash(number);
            if self.numbers.is_none() || line.len() < 2 {
                // Places without an order are not joined.
            } else if gap == 0 {
                chart.draw_series(LineSeries::new(line, style)).map_err(failed)?;
            } else {
                let dashed = DashedLineSeries::new(line, dash, gap, style);
                chart.draw_series(dashed).map_err(failed)?;
            }
            let whisker = |(x, value): &(f64, Estimate)| {
                let (from, to) = (value.mean - value.half, value.mean + value.half);
                PathElement::new(vec![(*x, from.max(floor)), (*x, to.min(roof))], colour(number))
            };
            let whiskers = points.iter().filter(|(_, value)| value.half > 0.0).map(whisker);
            chart.draw_series(whiskers).map_err(failed)?;
            for (x, value) in &points {
                let (x, y) = chart.backend_coord(&(*x, value.mean));
                let (left, top) = area.get_pixel_range();
                mark(area, (x - left.start, y - top.start), number)?;
            }
        }
        Ok(())
    }

    fn legend(&self, area: &Area<'_>) -> Result<(), PlotError> {
        let style = (FONT, 13).into_font().color(&BLACK);
        for (number, name) in self.names().iter().enumerate() {
            let y = 20 + 22 * number as i32;
            let (dash, gap) = dash(number);
            let mut x = 6;
            while x < 40 {
                let end = if gap == 0 { 40 } else { (x + dash).min(40) };
                let style = colour(number).stroke_width(2);
                area.draw(&PathElement::new(vec![(x, y), (end, y)], style)).map_err(failed)?;
                x = end + gap.max(1);
            }
            mark(area, (23, y), number)?;
            area.draw_text(name, &style, (46, y - 6)).map_err(failed)?;
        }
        Ok(())
    }
}

/// An axis with names at given places.
struct Scale {
    inner: RangedCoordf64,
    ticks: Vec<(f64, String)>,
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.inner.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(place, _)| *place).collect()
    }

    fn range(&self) -> Range<f64> {
        self.inner.range()
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|(place, _)| place == value);
        tick.map(|(_, name)| name.clone()).unwrap_or_default()
    }
}

impl Panel {
    /// What the axis shows.
    fn extent(&self) -> (f64, f64) {
        let values = self.series.iter().flat_map(|series| &series.points).map(|(_, value)| value);
        let shown = values.filter(|value| value.mean.is_finite());
        let ends = shown.flat_map(|value| [value.mean - value.half, value.mean + value.half]);
        let (low, high) = extent(ends, 0.06);
        (low.max(0.0), high.min(self.most).max(low.max(0.0) + 1e-3))
    }
}

/// The same picture with every run of polylines that look alike as one path: the library draws each
/// dash by itself, with all it says of its colour.
fn joined(svg: &str) -> String {
    const POINTS: &str = " points=\"";
    let (mut text, mut look) = (String::with_capacity(svg.len() / 2), None);
    for line in svg.lines() {
        let dash = line.strip_prefix("<polyline").and_then(|line| line.split_once(POINTS));
        let dash = dash.and_then(|(look, points)| Some((look, points.strip_suffix(" \"/>")?)));
        if look.is_some() && look != dash.map(|(look, _)| look) {
            text.push_str("\"/>\n");
        }
        match dash {
            Some((this, points)) => {
                if look != Some(this) {
                    text.push_str(&format!("<path{this} d=\""));
                }
                text.push('M');
                text.push_str(points);
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
        look = dash.map(|(look, _)| look);
    }
    text
}

/// The least and the most, with room around them.
fn extent(values: impl Iterator<Item = f64>, room: f64) -> (f64, f64) {
    let ends = values.fold(None, |ends: Option<(f64, f64)>, value| {
        Some(ends.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
    });
    let (low, high) = ends.unwrap_or((0.0, 1.0));
    let wide = if high - low > 1e-9 { high - low } else { high.abs().max(1.0) * 0.2 };
    (low - wide * room, high + wide * room)
}

fn colour(number: usize) -> RGBColor {
    COLOURS[number % COLOURS.len()]
}

fn dash(number: usize) -> (i32, i32) {
    DASHES[number % DASHES.len()]
}

/// The marker of a line, at a pixel.
fn mark(area: &Area<'_>, (x, y): (i32, i32), number: usize) -> Result<(), PlotError> {
    let corners = MARKERS[number % MARKERS.len()].iter().map(|(dx, dy)| (x + dx, y + dy));
    let mut corners: Vec<(i32, i32)> = corners.collect();
    let filled = (number / MARKERS.len()).is_multiple_of(2);
    let inside = if filled { colour(number) } else { WHITE };
    area.draw(&Polygon::new(corners.clone(), inside.filled())).map_err(failed)?;
    corners.push(corners[0]);
    area.draw(&PathElement::new(corners, colour(number).stroke_width(1))).map_err(failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn figure(numbers: Option<Vec<f64>>) -> Figure {
        let value = |mean: f64| Estimate { mean, half: 0.5, count: 5 };
        let series = |name: usize| Series {
            name: format!("line {name} <&>"),
            points: vec![(0, value(90.0)), (1, value(f64::NAN)), (2, value(99.9))],
        };
        let panel = Panel {
            title: "delivered, %".to_owned(),
            most: 100.0,
            series: (0..10).map(series).collect(),
        };
        Figure {
            title: "a figure".to_owned(),
            x_title: "viewers".to_owned(),
            ticks: ["100", "1000", "10000"].map(str::to_owned).into(),
            numbers,
            panels: vec![panel.clone(), panel],
        }
    }

    /// Whether tags are closed in the order they were opened, and nothing bare stands between.
    fn well_formed(text: &str) -> bool {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = text;
        while let Some(from) = rest.find('<') {
            if rest[..from].contains('>') {
                return false;
            }
            let Some(to) = rest.find('>') else { return false };
            let tag = &rest[from + 1..to];
            let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap_or("");
            if tag.starts_with('/') {
                if open.pop() != Some(name) {
                    return false;
                }
            } else if !tag.ends_with('/') && !tag.starts_with(['!', '?']) {
                open.push(name);
            }
            rest = &rest[to + 1..];
        }
        open.is_empty()
    }

    #[test]
    fn a_figure_is_well_formed_svg_with_its_words() {
        for numbers in [Some(vec![100.0, 1000.0, 10_000.0]), None] {
            let svg = figure(numbers).svg().unwrap();
            assert!(svg.starts_with("<svg") && svg.contains("xmlns"), "{}", &svg[..80]);
            assert!(well_formed(&svg), "{svg}");
            for word in ["a figure", "viewers", "delivered, %", "10000", "line 9"] {
                assert!(svg.contains(word), "{word}");
            }
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
            assert!(svg.len() < 40_000, "{} bytes", svg.len());
        }
        assert!(!well_formed("<svg><g></svg>"));
    }

    #[test]
    fn lines_that_look_alike_are_one_path() {
        let line =
            |look: &str, points: &str| format!("<polyline a=\"{look}\" points=\"{points} \"/>\n");
        let all =
            [line("1", "0,0 1,1"), line("1", "2,2 3,3"), line("2", "4,4"), "<rect/>\n".into()];
        let paths = "<path a=\"1\" d=\"M0,0 1,1M2,2 3,3\"/>\n<path a=\"2\" d=\"M4,4\"/>\n<rect/>\n";
        assert_eq!(joined(&all.concat()), paths);
    }

    #[test]
    fn no_two_of_ten_lines_look_alike() {
        let look =
            |n: usize| (n % COLOURS.len(), dash(n), n % MARKERS.len(), n / MARKERS.len() % 2);
        for a in 0..10 {
            for b in 0..a {
                assert_ne!(look(a), look(b));
                let plain = |n: usize| (look(n).1, look(n).2, look(n).3);
                assert_ne!(plain(a), plain(b), "in black and white");
            }
        }
    }

    #[test]
    fn nothing_to_draw_is_drawn() {
        let empty = Figure { panels: Vec::new(), ..figure(None) };
        assert!(well_formed(&empty.svg().unwrap()));
        let mut still = figure(Some(vec![1.0, 1.0, 1.0]));
        still.panels[0].series.iter_mut().for_each(|series| series.points.clear());
        assert!(well_formed(&still.svg().unwrap()));
    }
}
