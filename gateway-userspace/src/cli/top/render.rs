//! The screen, drawn.

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph, Row, Table, Widget},
};

use super::screen::{Pane, Screen};
use crate::{
    output::units::{bits_per_sec, count, duration, endpoint, money},
    view::{FlowRateView, LineView, RuleRateView, TopView, VerdictRateView},
};

/// Lines above the list.
const HEADER_LINES: u16 = 4;
/// Cells of a bar that shows how full a table is.
const BAR_CELLS: usize = 10;
/// Reasons of drops in the header.
const REASONS: usize = 3;

const HELP: &str = "\
1-5 Tab   talkers, flows, destinations, drops, rules
s r       sort by the next column, reverse
/         filter, as 'flow show' does: proto tcp remote 192.0.2.0/24
p         pause
+ -       a longer or shorter interval
arrows    move through the list
q Ctrl-C  quit";

/// What the terminal can show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Whether there are colours.
    pub(super) has_colour: bool,
}

impl Look {
    fn style(self, color: Color) -> Style {
        if self.has_colour { Style::new().fg(color) } else { Style::new() }
    }
}

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen, look: Look) {
    let area = frame.area();
    screen_into(screen, look, area, frame.buffer_mut());
}

/// Draws the whole screen into a part of a buffer.
pub(super) fn screen_into(screen: &Screen, look: Look, area: Rect, buffer: &mut Buffer) {
    let [head, tabs, list, foot] = Layout::vertical([
        Constraint::Length(HEADER_LINES),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(area);
    Paragraph::new(header(screen, look)).render(head, buffer);
    Paragraph::new(pane_names(screen)).render(tabs, buffer);
    pane(screen, look, list.height).render(list, buffer);
    Paragraph::new(footer(screen, look)).render(foot, buffer);
    if screen.has_help {
        help(area, buffer);
    }
}

fn header(screen: &Screen, look: Look) -> Vec<Line<'_>> {
    let view = &screen.view;
    let uplinks: Vec<_> = view
        .uplinks
        .iter()
        .map(|uplink| {
            let hook = uplink.hook.unwrap_or("unprotected");
            format!("{} {} {}", uplink.name, uplink.state, hook)
        })
        .collect();
    let is_well = view.uplinks.iter().all(|it| it.state == "up" && it.hook.is_some());
    let color = if is_well { Color::Green } else { Color::Red };
    let mut first = vec![
        Span::styled(format!("gateway {}", view.name), Style::new().add_modifier(Modifier::BOLD)),
        Span::raw("  "),
        Span::styled(uplinks.join(", "), look.style(color)),
        Span::raw(format!("  policy {}  ", view.generation)),
    ];
    first.push(interval(screen, look));
    let rates = format!(
        "in {}/s {}  out {}/s {}  flows {}",
        count(view.inbound.packets_per_sec),
        bits_per_sec(view.inbound.bits_per_sec),
        count(view.outbound.packets_per_sec),
        bits_per_sec(view.outbound.bits_per_sec),
        view.tables.half_open + view.tables.established,
    );
    let cost = view.cost.as_ref().and_then(|cost| Some((cost.total.cost?, &cost.currency)));
    let cost = cost.map(|(cost, currency)| format!("  cost {}", money(Some(cost), currency)));
    vec![
        Line::from(first),
        Line::from(rates + &cost.unwrap_or_default()),
        Line::from(bars(view)),
        Line::styled(drops(view), look.style(Color::Yellow)),
    ]
}

fn interval(screen: &Screen, look: Look) -> Span<'_> {
    let view = &screen.view;
    let shown = duration(u64::try_from(screen.interval.as_millis()).unwrap_or(u64::MAX));
    if screen.is_paused {
        return Span::styled("paused", look.style(Color::Yellow));
    }
    if screen.is_stretched() {
        let text = format!(
            "every {} instead of {shown}: reading takes {}",
            duration(view.read_ms.saturating_mul(10)),
            duration(view.read_ms)
        );
        return Span::styled(text, look.style(Color::Yellow));
    }
    Span::raw(format!("every {shown}"))
}

fn bars(view: &TopView) -> String {
    let tables = &view.tables;
    let bar = |name: &str, live: usize, expired: usize, max: u32| {
        let max = usize::try_from(max).unwrap_or(usize::MAX).max(1);
        let full = (live + expired).min(max);
        let cells = (full * BAR_CELLS).div_ceil(max);
        format!(
            "{name} [{}{}] {}%",
            "#".repeat(cells),
            "-".repeat(BAR_CELLS - cells),
            full * 100 / max
        )
    };
    format!(
        "{}  {}",
        bar("half-open", tables.half_open, tables.half_open_expired, tables.half_open_max),
        bar("established", tables.established, tables.established_expired, tables.established_max)
    )
}

fn drops(view: &TopView) -> String {
    let mut drops: Vec<&VerdictRateView> =
        view.drops.iter().filter(|drop| drop.packets_per_sec > 0.0).collect();
    drops.sort_by(|left, right| right.packets_per_sec.total_cmp(&left.packets_per_sec));
    let reasons = drops.iter().take(REASONS).map(|drop| {
        format!("{} {} {}", drop.total.direction, drop.total.reason, count(drop.packets_per_sec))
    });
    let reasons: Vec<_> = reasons.collect();
    format!("drops {}/s  {}", count(view.drops_per_sec), reasons.join(", ")).trim_end().to_owned()
}

fn pane_names(screen: &Screen) -> Line<'_> {
    let mut spans = Vec::new();
    for (index, pane) in Pane::ALL.into_iter().enumerate() {
        let text = format!("{} {}", index + 1, pane.name());
        let is_shown = pane == screen.pane;
        let style = if is_shown { Modifier::REVERSED } else { Modifier::DIM };
        let text = if is_shown { format!("[{text}]") } else { format!(" {text} ") };
        spans.push(Span::styled(text, Style::new().add_modifier(style)));
    }
    let direction = if screen.order.is_reversed { " reversed" } else { "" };
    spans.push(Span::raw(format!("  by {}{direction}", screen.order.name())));
    Line::from(spans)
}

fn footer(screen: &Screen, look: Look) -> Line<'_> {
    if let Some(text) = &screen.editing {
        return Line::from(format!("filter: {text}_"));
    }
    if let Some(complaint) = &screen.complaint {
        return Line::styled(complaint.as_str(), look.style(Color::Red));
    }
    let mut keys = "q quit  ? help  s sort  r reverse  / filter  p pause".to_owned();
    if !screen.filter.is_empty() {
        let text = if screen.filter_text.is_empty() { "as given" } else { &screen.filter_text };
        keys = format!("filter: {text}   {keys}");
    }
    Line::styled(keys, Style::new().add_modifier(Modifier::DIM))
}

fn help(area: Rect, buffer: &mut Buffer) {
    let lines = u16::try_from(HELP.lines().count()).unwrap_or(u16::MAX);
    let width = HELP.lines().map(str::len).max().and_then(|it| u16::try_from(it).ok());
    let [area] = Layout::vertical([Constraint::Length(lines + 2)])
        .flex(ratatui::layout::Flex::Center)
        .areas(area);
    let [area] = Layout::horizontal([Constraint::Length(width.unwrap_or(u16::MAX - 4) + 4)])
        .flex(ratatui::layout::Flex::Center)
        .areas(area);
    Clear.render(area, buffer);
    Paragraph::new(HELP).block(Block::bordered().title(" keys ")).render(area, buffer);
}

/// The list of the pane, which has room for so many lines.
fn pane(screen: &Screen, look: Look, height: u16) -> Table<'_> {
    let view = &screen.view;
    let currency = view.cost.as_ref().map_or("", |cost| cost.currency.as_str());
    // The first line is for the headings.
    let room = usize::from(height.saturating_sub(1));
    let (headings, widths, rows): (&[&'static str], Vec<Constraint>, Vec<Vec<String>>) =
        match screen.pane {
            Pane::Talkers => {
                (&LINE, line_widths(), window(&view.talkers, screen, room, |it| line(it, currency)))
            }
            Pane::Destinations => (
                &LINE,
                line_widths(),
                window(&view.destinations, screen, room, |it| line(it, currency)),
            ),
            Pane::Flows => (&FLOW, flow_widths(), window(&view.flows, screen, room, flow)),
            Pane::Drops => (&DROP, drop_widths(), window(&view.drops, screen, room, drop_row)),
            Pane::Rules => {
                (&RULE, rule_widths(), window(&view.rules, screen, room, |it| rule(it, currency)))
            }
        };
    let header = Row::new(headings.iter().map(|&heading| Line::from(heading)).enumerate().map(
        |(index, heading)| {
            if index < left_columns(screen.pane) { heading } else { heading.right_aligned() }
        },
    ))
    .style(look.style(Color::Cyan).add_modifier(Modifier::BOLD));
    let rows = rows.into_iter().map(|cells| {
        Row::new(cells.into_iter().enumerate().map(|(index, cell)| {
            let cell = Line::from(cell);
            if index < left_columns(screen.pane) { cell } else { cell.right_aligned() }
        }))
    });
    Table::new(rows, widths).header(header).column_spacing(1)
}

/// The lines that are shown of a list.
fn window<T>(
    list: &[T],
    screen: &Screen,
    room: usize,
    row: impl Fn(&T) -> Vec<String>,
) -> Vec<Vec<String>> {
    let offset_max = list.len().saturating_sub(room);
    list.iter().skip(screen.offset.min(offset_max)).take(room).map(row).collect()
}

/// Columns of words; those of numbers follow.
const fn left_columns(pane: Pane) -> usize {
    match pane {
        Pane::Talkers | Pane::Destinations => 1,
        Pane::Flows => 4,
        Pane::Drops => 2,
        Pane::Rules => 3,
    }
}

const LINE: [&str; 7] = ["HOST OR NETWORK", "FLOWS", "OUT", "IN", "PKT/S", "BYTES", "COST"];
const FLOW: [&str; 8] = ["PROTO", "LOCAL", "REMOTE", "STATE", "OUT B/S", "IN B/S", "BYTES", "AGE"];
const DROP: [&str; 5] = ["DIRECTION", "REASON", "PKT/S", "PACKETS", "BYTES"];
const RULE: [&str; 7] = ["RULE", "DIRECTION", "ACTION", "HITS/S", "HITS", "BYTES", "COST"];

fn line_widths() -> Vec<Constraint> {
    [Constraint::Fill(1)].into_iter().chain([7, 11, 11, 8, 8, 12].map(Constraint::Length)).collect()
}

fn flow_widths() -> Vec<Constraint> {
    vec![
        Constraint::Length(5),
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Length(11),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(6),
        Constraint::Length(6),
    ]
}

fn drop_widths() -> Vec<Constraint> {
    vec![
        Constraint::Length(9),
        Constraint::Fill(1),
        Constraint::Length(10),
        Constraint::Length(12),
        Constraint::Length(12),
    ]
}

fn rule_widths() -> Vec<Constraint> {
    [Constraint::Fill(1)].into_iter().chain([9, 6, 9, 9, 8, 12].map(Constraint::Length)).collect()
}

fn line(line: &LineView, currency: &str) -> Vec<String> {
    let LineView { name, flows, rates, cost, .. } = line;
    vec![
        name.clone(),
        flows.to_string(),
        bits_per_sec(rates.bits_out_per_sec),
        bits_per_sec(rates.bits_in_per_sec),
        count(rates.packets_out_per_sec + rates.packets_in_per_sec),
        bytes(line.bytes()),
        money(*cost, currency),
    ]
}

fn flow(view: &FlowRateView) -> Vec<String> {
    let FlowRateView { flow, rates } = view;
    vec![
        flow.proto.clone(),
        endpoint(flow.local, flow.local_port),
        endpoint(flow.remote, flow.remote_port),
        flow.state.to_owned(),
        count(rates.bits_out_per_sec / 8.0),
        count(rates.bits_in_per_sec / 8.0),
        bytes(flow.bytes_out.saturating_add(flow.bytes_in)),
        duration(flow.age_ms),
    ]
}

fn drop_row(drop: &VerdictRateView) -> Vec<String> {
    vec![
        drop.total.direction.to_owned(),
        drop.total.reason.to_owned(),
        count(drop.packets_per_sec),
        drop.total.packets.to_string(),
        drop.total.bytes.to_string(),
    ]
}

fn rule(rule: &RuleRateView, currency: &str) -> Vec<String> {
    let name = rule.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    vec![
        format!("{}{name}", rule.number),
        rule.direction.to_owned(),
        rule.action.to_owned(),
        count(rule.hits_per_sec),
        rule.hits.to_string(),
        rule.flow_bytes.map_or("-".to_owned(), bytes),
        money(rule.cost, currency),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn bytes(bytes: u64) -> String {
    count(bytes as f64)
}
