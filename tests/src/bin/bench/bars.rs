//! Horizontal bars in groups, as SVG.

use std::fmt::{self, Write as _};

use crate::{
    plot::{Picture, STYLE, write_text},
    report::thousands,
    statistics::Spread,
};

const NAMES_WIDTH: f64 = 210.0;
const BARS_WIDTH: f64 = 560.0;
/// For the figures behind the longest bar.
const FIGURES_WIDTH: f64 = 90.0;
const TOP: f64 = 54.0;
const BAR_HEIGHT: f64 = 15.0;
const STEP: f64 = 21.0;
/// Above each group, for its name.
const GROUP_GAP: f64 = 30.0;
const BOTTOM: f64 = 16.0;

/// A picture of groups of bars that share an axis from zero.
#[derive(Clone, Debug)]
pub(crate) struct Bars {
    /// The file beside the document.
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    /// What the bars show.
    pub(crate) unit: &'static str,
    pub(crate) groups: Vec<Group>,
}

/// Bars below a heading.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) bars: Vec<Bar>,
}

/// A bar as long as the median, with a line from the least to the most.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) spread: Spread,
    /// Whether it is what the picture is about.
    pub(crate) highlighted: bool,
}

impl Bars {
    /// Draws it.
    pub(crate) fn picture(&self) -> Picture {
        Picture { file: self.file, title: self.title, svg: self.svg() }
    }

    fn svg(&self) -> String {
        let bars: usize = self.groups.iter().map(|group| group.bars.len()).sum();
        let rows = STEP * f64::from(u32::try_from(bars).unwrap_or(u32::MAX));
        let groups = GROUP_GAP * f64::from(u32::try_from(self.groups.len()).unwrap_or(u32::MAX));
        let height = TOP + rows + groups + BOTTOM;
        let width = NAMES_WIDTH + BARS_WIDTH + FIGURES_WIDTH;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\">\n<title>{0}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n\
             <text class=\"title\" x=\"12\" y=\"22\">{0}</text>\n\
             <text x=\"12\" y=\"41\">{1}</text>\n",
            self.title, self.unit
        );
        self.draw(&mut svg).expect("text takes everything");
        svg.push_str("</svg>\n");
        svg
    }

    fn draw(&self, svg: &mut String) -> fmt::Result {
        let all = self.groups.iter().flat_map(|group| &group.bars);
        let longest = all.map(|bar| bar.spread.max).fold(f64::MIN_POSITIVE, f64::max);
        let scale = BARS_WIDTH / longest;
        let digits = if longest < 20.0 { 2 } else { 0 };
        let mut y = TOP;
        for group in &self.groups {
            y += GROUP_GAP;
            writeln!(
                svg,
                "<text class=\"title\" x=\"12\" y=\"{:.1}\">{}</text>",
                y - 8.0,
                group.name
            )?;
            for bar in &group.bars {
                draw_bar(svg, bar, y, scale, digits)?;
                y += STEP;
            }
        }
        Ok(())
    }
}

fn draw_bar(svg: &mut String, bar: &Bar, y: f64, scale: f64, digits: usize) -> fmt::Result {
    let Spread { median, min, max } = bar.spread;
    let class = if bar.highlighted { "ours" } else { "others" };
    let (text, middle) = (y + BAR_HEIGHT - 3.0, y + BAR_HEIGHT / 2.0);
    let along = |value: f64| NAMES_WIDTH + value * scale;
    write_text(svg, "end", NAMES_WIDTH - 8.0, text, &bar.name)?;
    writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{NAMES_WIDTH}\" y=\"{y:.1}\" width=\"{:.1}\" \
         height=\"{BAR_HEIGHT}\"/>\n<path class=\"range\" d=\"M{:.1} {middle:.1}H{:.1}\"/>",
        median * scale,
        along(min),
        along(max)
    )?;
    let figure = if digits == 0 { thousands(median) } else { format!("{median:.digits$}") };
    write_text(svg, "start", along(median.max(max)) + 6.0, text, &figure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_range_takes_the_whole_width() {
        let bar = |median, max, highlighted| Bar {
            name: format!("{median}"),
            spread: Spread { median, min: median, max },
            highlighted,
        };
        let bars = vec![bar(50.0, 100.0, false), bar(25.0, 25.0, true)];
        let groups = vec![Group { name: "busy".to_owned(), bars }];
        let svg = Bars { file: "a.svg", title: "Cost", unit: "ns", groups }.svg();
        assert!(svg.contains("class=\"others\" x=\"210\" y=\"84.0\" width=\"280.0\""), "{svg}");
        assert!(svg.contains("class=\"ours\" x=\"210\" y=\"105.0\" width=\"140.0\""), "{svg}");
        assert!(svg.contains("H770.0\""), "{svg}");
    }
}
