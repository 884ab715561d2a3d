//! Plots with two logarithmic axes, as SVG.

use std::fmt::{self, Write as _};

use crate::report::thousands;

const HEIGHT: f64 = 440.0;
const PANEL_WIDTH: f64 = 330.0;
/// Between panels.
const GAP: f64 = 44.0;
const LEFT: f64 = 76.0;
const TOP: f64 = 66.0;
const BOTTOM: f64 = 52.0;
/// For the legend, to the right of the last panel.
const LEGEND_WIDTH: f64 = 190.0;
/// Colours that differ for everybody.
const COLOURS: [&str; 6] = ["#d55e00", "#2f8fd0", "#00966b", "#b85fa0", "#7a6f00", "#444444"];
/// Every picture is on white paper, whatever surrounds it.
pub(crate) const STYLE: &str = "text{font:13px sans-serif;fill:#24292f}.title{font-weight:bold}\
    .paper{fill:#fff}.grid{stroke:#8c959f;stroke-opacity:.35}\
    polyline{fill:none;stroke-width:2.5}.ours{fill:#d55e00}.others{fill:#8fb8d6}\
    .range{stroke:#24292f;stroke-width:1.5}";

/// A picture beside a document.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// Its file's name.
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    pub(crate) svg: String,
}

impl Picture {
    /// Shows the file.
    pub(crate) fn markdown(&self) -> String {
        format!("![{}]({})", self.title, self.file)
    }
}

/// Panels side by side over the same axes.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// The file beside the document.
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    /// What is along the horizontal axes.
    pub(crate) x: &'static str,
    /// What is along the vertical axis.
    pub(crate) y: &'static str,
    /// All have lines of the same names, in the same order; all coordinates are positive.
    pub(crate) panels: Vec<Panel>,
}

/// A part of a plot.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// A line of a panel.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Whole decades along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Decades {
    first: f64,
    last: f64,
}

impl Plot {
    /// Draws it.
    pub(crate) fn picture(&self) -> Picture {
        Picture { file: self.file, title: self.title, svg: self.svg() }
    }

    fn svg(&self) -> String {
        let panels: f64 = self.panels.iter().map(|_| PANEL_WIDTH + GAP).sum();
        let width = LEFT + panels - GAP + LEGEND_WIDTH;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" \
             role=\"img\">\n<title>{0}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{width}\" height=\"{HEIGHT}\"/>\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"20\">{0}</text>\n\
             <text x=\"{LEFT}\" y=\"38\">{1}</text>\n",
            self.title, self.y
        );
        self.draw(&mut svg, width - LEGEND_WIDTH).expect("text takes everything");
        svg.push_str("</svg>\n");
        svg
    }

    fn draw(&self, svg: &mut String, right: f64) -> fmt::Result {
        let lines = || self.panels.iter().flat_map(|panel| &panel.lines);
        let points = || lines().flat_map(|line| &line.points);
        let across = Decades::around(points().map(|(x, _)| *x));
        let up = Decades::around(points().map(|(_, y)| *y));
        for value in up.ticks() {
            let (y, label) = (up.top(value), thousands(value));
            writeln!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>")?;
            write_text(svg, "end", LEFT - 8.0, y + 4.0, &label)?;
        }
        let mut left = LEFT;
        for panel in &self.panels {
            self.draw_panel(svg, panel, left, across, up)?;
            left += PANEL_WIDTH + GAP;
        }
        let mut height = TOP + 8.0;
        let names = self.panels.first().into_iter().flat_map(|panel| &panel.lines);
        for (line, colour) in names.zip(COLOURS) {
            let (from, to) = (right + 14.0, right + 40.0);
            let points = format!("{from},{height} {to},{height}");
            writeln!(svg, "<polyline stroke=\"{colour}\" points=\"{points}\"/>")?;
            write_text(svg, "start", to + 6.0, height + 4.0, line.name)?;
            height += 22.0;
        }
        Ok(())
    }

    fn draw_panel(
        &self,
        svg: &mut String,
        panel: &Panel,
        left: f64,
        across: Decades,
        up: Decades,
    ) -> fmt::Result {
        let (bottom, middle) = (HEIGHT - BOTTOM, left + PANEL_WIDTH / 2.0);
        for value in across.ticks() {
            let x = left + across.along(value);
            writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>")?;
            write_text(svg, "middle", x, bottom + 18.0, &short(value))?;
        }
        write_text(svg, "middle", middle, TOP - 8.0, panel.title)?;
        write_text(svg, "middle", middle, HEIGHT - 12.0, self.x)?;
        for (line, colour) in panel.lines.iter().zip(COLOURS) {
            write!(svg, "<polyline stroke=\"{colour}\" points=\"")?;
            for (x, y) in &line.points {
                write!(svg, "{:.1},{:.1} ", left + across.along(*x), up.top(*y))?;
            }
            writeln!(svg, "\"/>")?;
        }
        Ok(())
    }
}

pub(crate) fn write_text(
    svg: &mut String,
    anchor: &str,
    x: f64,
    y: f64,
    text: &str,
) -> fmt::Result {
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")
}

/// A power of ten with its prefix: panels stand close to each other.
fn short(value: f64) -> String {
    if value >= 1e6 {
        format!("{}M", thousands(value / 1e6))
    } else if value >= 1e3 {
        format!("{}k", thousands(value / 1e3))
    } else {
        thousands(value)
    }
}

impl Decades {
    /// The fewest that hold all values, but one at least.
    fn around(values: impl Iterator<Item = f64>) -> Self {
        let (mut first, mut last) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            first = first.min(value.log10().floor());
            last = last.max(value.log10().ceil());
        }
        Self { first, last: last.max(first + 1.0) }
    }

    /// How far up `value` is, from 0 to 1.
    fn share(self, value: f64) -> f64 {
        (value.log10() - self.first) / (self.last - self.first)
    }

    fn along(self, value: f64) -> f64 {
        self.share(value) * PANEL_WIDTH
    }

    fn top(self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.share(value) * (HEIGHT - TOP - BOTTOM)
    }

    /// The powers of ten from end to end.
    fn ticks(self) -> impl Iterator<Item = f64> {
        std::iter::successors(Some(self.first), |power| Some(power + 1.0))
            .take_while(move |power| *power <= self.last)
            .map(|power| 10_f64.powf(power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_whole_decades() {
        let decades = Decades::around([20.0, 3_000.0].into_iter());
        assert_eq!(decades, Decades { first: 1.0, last: 4.0 });
        let ticks: Vec<_> = decades.ticks().map(thousands).collect();
        assert_eq!(ticks, ["10", "100", "1,000", "10,000"]);
        assert_eq!(Decades::around([1.0].into_iter()), Decades { first: 0.0, last: 1.0 });
    }

    #[test]
    fn large_numbers_are_short_below_an_axis() {
        let all = [1.0, 100.0, 1_000.0, 100_000.0, 10_000_000.0].map(short);
        assert_eq!(all, ["1", "100", "1k", "100k", "10M"]);
    }

    #[test]
    fn lines_run_from_corner_to_corner() {
        let line = Line { name: "slow", points: vec![(1.0, 10.0), (100.0, 1_000.0)] };
        let panel = Panel { title: "busy", lines: vec![line] };
        let panels = vec![panel.clone(), panel];
        let plot = Plot { file: "a.svg", title: "Cost", x: "rules", y: "ns", panels };
        let svg = plot.svg();
        assert!(svg.contains("points=\"76.0,388.0 406.0,66.0 \""), "{svg}");
        assert!(svg.contains("points=\"450.0,388.0 780.0,66.0 \""), "{svg}");
        assert_eq!(svg.matches(">slow</text>").count(), 1, "{svg}");
        assert_eq!(plot.picture().markdown(), "![Cost](a.svg)");
    }
}
