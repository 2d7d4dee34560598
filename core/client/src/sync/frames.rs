//! The framing of server-sent events (HTML Standard, section 9.2), fed piece by piece.
//!
//! Written here for what crates for it do not promise together: the same events however the bytes are cut, a bound on
//! what one event may take, time in proportion to the bytes, and no panic (`eventsource-stream` 0.2 panics on a byte order
//! mark).

/// An event, as far as the framing goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The fields `event` (empty when there was none) and `data` (its lines joined).
    Event { name: String, data: String },
    /// `retry`, in milliseconds; as soon as its line is whole.
    Retry(u64),
    /// An event of which a line is not UTF-8.
    NotText,
}

/// An event, or a line of it, is longer than allowed: the stream is of no use from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Cuts a stream of bytes into events; holds what has come of the next one.
pub(crate) struct Frames {
    most: usize,
    /// Since the last event: lines, comments and all.
    length: usize,
    line: Vec<u8>,
    name: String,
    data: String,
    has_data: bool,
    is_text: bool,
    is_first_line: bool,
    /// The last byte was a carriage return: a line feed after it ends no line of its own.
    after_return: bool,
}

impl Frames {
    /// For events of at most so many bytes.
    pub(crate) const fn new(most: usize) -> Self {
        Self {
            most,
            length: 0,
            line: Vec::new(),
            name: String::new(),
            data: String::new(),
            has_data: false,
            is_text: true,
            is_first_line: true,
            after_return: false,
        }
    }

    /// Takes the next piece, and tells the events that it completes. What comes after a [`TooLong`] has no meaning.
    pub(crate) fn take(&mut self, piece: &[u8], mut tell: impl FnMut(Frame)) -> Result<(), TooLong> {
        let mut rest = piece;
        if !rest.is_empty() && std::mem::take(&mut self.after_return) {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            let (line, ending) = rest.split_at(end);
            self.grow(line)?;
            rest = match ending {
                [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] => after,
                [b'\r'] => {
                    self.after_return = true;
                    &[]
                }
                [_, after @ ..] => after,
                [] => &[],
            };
            self.length += 1;
            self.line_is_whole(&mut tell);
        }
        self.grow(rest)
    }

    fn grow(&mut self, part: &[u8]) -> Result<(), TooLong> {
        self.length = self.length.saturating_add(part.len());
        if self.length > self.most {
            return Err(TooLong);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn line_is_whole(&mut self, tell: &mut impl FnMut(Frame)) {
        let line = std::mem::take(&mut self.line);
        let line = if std::mem::take(&mut self.is_first_line) {
            line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line)
        } else {
            &line
        };
        let Ok(line) = std::str::from_utf8(line) else {
            self.is_text = false;
            return;
        };
        if line.is_empty() {
            return self.event_is_whole(tell);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                if let Ok(millis) = value.parse() {
                    tell(Frame::Retry(millis));
                }
            }
            // Comments, `id` (each of our events has its version in it), and what is to come.
            _ => {}
        }
    }

    fn event_is_whole(&mut self, tell: &mut impl FnMut(Frame)) {
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        self.length = 0;
        let has_data = std::mem::take(&mut self.has_data);
        if !std::mem::replace(&mut self.is_text, true) {
            tell(Frame::NotText);
        } else if has_data {
            tell(Frame::Event { name, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 200;

    /// The frames of some pieces, and whether one was too long.
    fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, bool) {
        let (mut frames, mut told) = (Frames::new(MOST), Vec::new());
        for piece in pieces {
            if frames.take(piece, |frame| told.push(frame)).is_err() {
                return (told, true);
            }
        }
        (told, false)
    }

    fn event(name: &str, data: &str) -> Frame {
        Frame::Event { name: name.into(), data: data.into() }
    }

    #[test]
    fn the_lines_of_the_standard_are_read_as_it_says() {
        for (text, expected) in [
            ("data: YHOO\ndata: +2\ndata: 10\n\n", vec![event("", "YHOO\n+2\n10")]),
            (": comment\n\ndata: first\nid: 1\n\ndata:second\nid\n\n", vec![event("", "first"), event("", "second")]),
            ("data:  third\n\n", vec![event("", " third")]),
            ("data\n\ndata\ndata\n\ndata:", vec![event("", ""), event("", "\n")]),
            ("event: state\nevent: heartbeat\ndata: {}\n\n", vec![event("heartbeat", "{}")]),
            ("event: state\n\ndata: {}\n\n", vec![event("", "{}")]),
            ("data: a\r\rdata: b\r\n\r\ndata: c\n\n", vec![event("", "a"), event("", "b"), event("", "c")]),
            ("data: a\r\n\ndata: b\n\r\n", vec![event("", "a"), event("", "b")]),
            ("\u{feff}data: a\n\n\u{feff}data: b\n\n", vec![event("", "a")]),
            ("Data: a\n\ndata : b\n\n data: c\n\n", vec![]),
            ("retry: 30\ndata: a\nretry:5\n\n", vec![Frame::Retry(30), Frame::Retry(5), event("", "a")]),
            ("retry\nretry: +3\nretry: soon\nretry: 99999999999999999999\n\n", vec![]),
            ("data: nobody ends it\n", vec![]),
        ] {
            assert_eq!(frames([text.as_bytes()]), (expected, false), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_text_is_told_and_the_next_event_is_read() {
        let (told, _) = frames([b"data: \xff\xfe\ndata: more\n\ndata: a\n\n".as_slice()]);
        assert_eq!(told, [Frame::NotText, event("", "a")]);
    }

    #[test]
    fn the_bound_is_on_an_event_and_not_on_what_comes_in_one_piece() {
        let one = format!("data: {}\n\n", "x".repeat(MOST - 10));
        let many = one.repeat(50);
        assert_eq!(frames([many.as_bytes()]).0.len(), 50);
        let long = format!("data: {}\n\n", "x".repeat(MOST));
        let lines = "data: x\n".repeat(MOST);
        let comment = format!(": {}", "x".repeat(MOST));
        for endless in [long, lines, comment, "\r\n:".repeat(MOST)] {
            assert!(frames([endless.as_bytes()]).1, "{endless:?}");
            assert!(frames(endless.as_bytes().chunks(7)).1, "{endless:?}, in pieces");
        }
    }

    /// Lines of all kinds, and what is none.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            Just(b"event: state".to_vec()),
            Just("data: {\"é\": \"\u{1f4de}\"}".as_bytes().to_vec()),
            Just(b":".to_vec()),
            Just(b"retry: 3000".to_vec()),
            Just("\u{feff}".as_bytes().to_vec()),
            Just(Vec::new()),
            Just(Vec::new()),
            Just(vec![0xff]),
            prop::collection::vec(any::<u8>(), 0..20),
        ];
        let end = prop_oneof![Just("\n"), Just("\r"), Just("\r\n")];
        prop::collection::vec((line, end), 0..60).prop_map(|lines| {
            lines.into_iter().flat_map(|(line, end)| [line, end.as_bytes().to_vec()].concat()).collect()
        })
    }

    proptest! {
        #[test]
        fn the_same_events_come_out_however_the_bytes_are_cut(
            bytes in bytes(),
            cuts in prop::collection::vec(0_usize..6, 1..20),
        ) {
            let whole = frames([bytes.as_slice()]);
            prop_assert_eq!(&frames(bytes.chunks(1)), &whole);
            let mut pieces = Vec::new();
            let mut rest = bytes.as_slice();
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = after;
                if rest.is_empty() || cuts.iter().all(|cut| *cut == 0) {
                    pieces.push(rest);
                    break;
                }
            }
            prop_assert_eq!(frames(pieces), whole);
        }
    }
}
