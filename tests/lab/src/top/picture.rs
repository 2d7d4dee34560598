//! Draws what is known. Nothing here knows a terminal.

use std::time::Instant;

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line as Text, Span},
    widgets::{Block, Paragraph, Row, Table, Widget},
};

use super::model::{Link, Model, PhoneRow, Ringing, View, spreads};

pub(super) fn draw(model: &Model, now: Instant, area: Rect, buffer: &mut Buffer) {
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    header(model, now).render(head, buffer);
    match &model.view {
        None => Paragraph::new(nothing(model)).centered().render(body, buffer),
        Some((view, _)) => {
            whole(view, body, buffer);
            if !matches!(model.link, Link::Live) {
                buffer.set_style(body, Style::new().add_modifier(Modifier::DIM));
            }
        }
    }
}

/// The buffer as text, without the spaces at the ends of lines.
pub(super) fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let mut text = String::new();
    for line in buffer.content.chunks(width) {
        let line: String = line.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn header(model: &Model, now: Instant) -> Text<'static> {
    let (word, colour) = match &model.link {
        Link::Connecting => ("connecting".to_owned(), Color::Yellow),
        Link::Live => ("live".to_owned(), Color::Green),
        Link::Lost(why) => (format!("lost: {why}; tried again each second"), Color::Red),
    };
    let age = match (&model.link, &model.view) {
        (Link::Lost(_), Some((_, seen))) => format!(" (as it was {} s ago)", now.duration_since(*seen).as_secs()),
        (Link::Connecting | Link::Live, _) | (Link::Lost(_), None) => String::new(),
    };
    Text::from(vec![
        Span::styled("lab top", Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!("  {}  ", model.origin)),
        Span::styled(word, Style::new().fg(colour)),
        Span::raw(age),
        Span::raw("  q: quit"),
    ])
}

fn nothing(model: &Model) -> String {
    match &model.link {
        Link::Connecting => "\nConnecting…".to_owned(),
        Link::Live | Link::Lost(_) => format!("\nThere is no lab at {} yet.\nStart one: lab", model.origin),
    }
}

fn whole(view: &View, area: Rect, buffer: &mut Buffer) {
    if view.phones.is_empty() {
        return Paragraph::new("\nThis lab has no phones.").centered().render(area, buffer);
    }
    let phones = u16::try_from(view.phones.len()).unwrap_or(u16::MAX).saturating_add(3);
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(phones), Constraint::Length(9), Constraint::Min(4)]).areas(area);
    let [left, right] = Layout::horizontal([Constraint::Percentage(50); 2]).areas(middle);
    sessions(view, top, buffer);
    states(view, left, buffer);
    calls(view, right, buffer);
    events(view, bottom, buffer);
}

fn table<'t>(title: &'t str, head: &[&'t str], widths: &[u16], rows: Vec<Row<'t>>) -> Table<'t> {
    let widths = widths.iter().map(|width| Constraint::Fill(*width));
    Table::new(rows, widths)
        .header(Row::new(head.iter().map(|name| (*name).to_owned())).style(Style::new().add_modifier(Modifier::BOLD)))
        .block(Block::bordered().title(title))
}

fn sessions(view: &View, area: Rect, buffer: &mut Buffer) {
    let rows = view.phones.iter().map(|phone| {
        let presence = phone.presence.as_ref();
        let session = match (&phone.session.email, &phone.session.status) {
            (Some(email), Some(status)) => format!("{email} {status}"),
            (Some(email), None) => email.clone(),
            (None, _) => phone.session.state.replace('_', " "),
        };
        let stream = presence.map_or("-", |presence| presence.link.as_str());
        let version = presence.map_or("-", |presence| presence.version.as_str());
        let colour = match stream {
            "live" => Color::Green,
            "offline" => Color::Red,
            _ => Color::Reset,
        };
        Row::new(vec![
            Text::from(phone.name.clone()),
            Text::from(device(phone)),
            Text::from(session),
            Text::styled(stream.to_owned(), Style::new().fg(colour)),
            Text::from(version.to_owned()),
            Text::from(presence.map_or_else(|| "-".into(), |presence| availability(&presence.availability))),
            Text::from(presence.map_or_else(|| "-".into(), |presence| presence.effective.replace('_', " "))),
            Text::from(rings(phone)),
        ])
    });
    let head = ["phone", "device", "session", "stream", "rev", "chosen", "effective", "calls"];
    table(" sessions and streams ", &head, &[13, 12, 25, 10, 6, 13, 14, 17], rows.collect()).render(area, buffer);
}

fn device(phone: &PhoneRow) -> String {
    match (phone.power.as_str(), phone.network.as_str(), phone.foreground) {
        ("on", "up", true) => "in front".into(),
        ("on", "up", false) => "background".into(),
        ("on", network, _) => format!("network {network}"),
        (power, ..) => power.replace('_', " "),
    }
}

fn availability(value: &serde_json::Value) -> String {
    let word = |name: &str| value.get(name).and_then(serde_json::Value::as_str);
    word("reason").or_else(|| word("kind")).unwrap_or("?").replace('_', " ")
}

fn rings(phone: &PhoneRow) -> String {
    let who = |call: &Ringing| call.from_name.clone().or_else(|| call.from.clone()).unwrap_or_else(|| "unknown".into());
    let forwarded = phone.presence.as_ref().and_then(|presence| presence.forwarding.number.as_deref());
    match (&phone.call, &phone.ringing, forwarded) {
        (Some(call), ..) => format!("talks: {}", who(call)),
        (None, Some(call), _) => format!("rings: {}", who(call)),
        (None, None, Some(number)) => format!("to {number}"),
        (None, None, None) => "-".into(),
    }
}

/// The latencies: how long a state takes from the first screen to the last.
fn states(view: &View, area: Rect, buffer: &mut Buffer) {
    let rows = spreads(&view.timeline).into_iter().map(|spread| {
        let (screens, millis) = (spread.screens.to_string(), format!("{} ms", spread.millis));
        Row::new(vec![spread.version, spread.first, spread.last, screens, millis])
    });
    let head = ["rev", "first on", "last on", "screens", "took"];
    table(" states, from the first screen to the last ", &head, &[2, 3, 3, 2, 2], rows.collect()).render(area, buffer);
}

fn calls(view: &View, area: Rect, buffer: &mut Buffer) {
    let mut decisions: Vec<_> = view
        .phones
        .iter()
        .flat_map(|phone| phone.decisions.iter().map(move |decision| (decision.at, &phone.key, decision)))
        .collect();
    decisions.sort_by_key(|(at, ..)| -at);
    let mut lines: Vec<Text<'_>> = view
        .calls
        .iter()
        .filter(|call| call.state != "ended")
        .map(|call| {
            let devices: Vec<String> =
                call.devices.iter().map(|device| format!("{} {}", device.key, device.outcome)).collect();
            let from = call.from.as_deref().unwrap_or("unknown");
            Text::from(format!("{} {from} {}: {}", clock(call.at), call.state, devices.join(", ")))
        })
        .collect();
    lines.extend(decisions.into_iter().map(|(at, phone, decision)| {
        let colour = if decision.verdict == "ring" { Color::Green } else { Color::Reset };
        let words = format!("{} {phone} {}: {} ({})", clock(at), decision.verdict, decision.rule, decision.platform);
        Text::styled(words, Style::new().fg(colour))
    }));
    if lines.is_empty() {
        lines.push(Text::from("No call yet."));
    }
    Paragraph::new(lines).block(Block::bordered().title(" ring decisions ")).render(area, buffer);
}

fn events(view: &View, area: Rect, buffer: &mut Buffer) {
    let room = usize::from(area.height.saturating_sub(2));
    let last = view.timeline.len().saturating_sub(room);
    let lines: Vec<Text<'_>> = view
        .timeline
        .iter()
        .skip(last)
        .map(|line| Text::from(format!("{} {:<10} {}", clock(line.at), line.who, line.text)))
        .collect();
    let title = format!(" what happens, at {} ", clock(view.now));
    Paragraph::new(lines).block(Block::bordered().title(title)).render(area, buffer);
}

/// The time of day, in UTC.
fn clock(at: i64) -> String {
    let millis = at.rem_euclid(86_400_000);
    let (seconds, rest) = (millis / 1_000, millis % 1_000);
    format!("{:02}:{:02}:{:02}.{rest:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests;
