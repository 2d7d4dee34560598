//! What matters of a state, as text: equal texts, equal futures.
//!
//! Times are taken as differences to now, effects and keys by the order in which they appear, and what only support looks at
//! (the ring log) or luck (the numbers that jitter is drawn from) is left out.

use std::{
    fmt::{Debug, Write},
    hash::{DefaultHasher, Hasher},
};

/// Times of the models are at least this; no other number is so large.
pub(super) const ERA: u64 = 1_000_000_000_000;

/// The canonical text of a value that is printed.
pub(super) fn canonical(value: &impl Debug, now: u64) -> String {
    canonical_with(value, now, &[])
}

/// The same, with other words for some.
pub(super) fn canonical_with(value: &impl Debug, now: u64, words: &[(&str, &str)]) -> String {
    let mut raw = String::with_capacity(4_096);
    // Writing to a string does not fail.
    let _ = write!(raw, "{value:?}");
    let mut names: Vec<&str> = Vec::new();
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw.as_str();
    let mut last = "";
    while let Some(first) = rest.bytes().next() {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let length = rest.bytes().position(|byte| is_word(byte) != is_word(first)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        rest = after;
        if !is_word(first) {
            text.push_str(word);
            continue;
        }
        match last {
            "next_effect" | "next_key" | "random" => {}
            _ if word == "RingLog" => rest = after_brackets(rest),
            "EffectId" | "CommandId" | "key" => {
                let place = names.iter().position(|name| *name == word).unwrap_or_else(|| {
                    names.push(word);
                    names.len() - 1
                });
                let _ = write!(text, "#{place}");
            }
            _ => match word.parse::<u64>() {
                Ok(number) if number >= ERA => {
                    let _ = write!(text, "{:+}", number as i64 - now as i64);
                }
                Ok(_) | Err(_) => {
                    let other = words.iter().find(|(it, _)| *it == word);
                    text.push_str(other.map_or(word, |(_, other)| other));
                }
            },
        }
        // `random: Random(7)`: both words are skipped.
        last = if last == "random" && word == "Random" { "random" } else { word };
    }
    text
}

/// Skips ` { ... }`.
fn after_brackets(text: &str) -> &str {
    let mut open = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' | b'[' | b'(' => open += 1,
            b'}' | b']' | b')' => {
                open = open.saturating_sub(1);
                if open == 0 {
                    return text.get(at + 1..).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    ""
}

/// 128 bits of a text: among a hundred million texts two are mistaken for one with a chance of 1 in 10^22.
pub(super) fn fingerprint(texts: &[&str]) -> u128 {
    let half = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(salt);
        for text in texts {
            hasher.write(text.as_bytes());
            hasher.write_u8(0xff);
        }
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookswitch::machine::{EffectId, Mono, RingLog, Timer};

    #[derive(Debug)]
    #[allow(dead_code, reason = "it is printed")]
    struct Sample {
        at: Mono,
        id: EffectId,
        again: EffectId,
        log: RingLog,
        timer: Timer,
        next_effect: u64,
    }

    fn sample(now: u64, id: u64) -> String {
        let (log, timer) = (RingLog::default(), Timer::Refresh);
        let sample = Sample { at: now + 5, id: EffectId(id), again: EffectId(id), log, timer, next_effect: id };
        canonical(&sample, now)
    }

    #[test]
    fn the_hour_and_the_numbers_of_effects_do_not_matter() {
        assert_eq!(sample(ERA, 1), sample(ERA + 99, 7));
        assert!(sample(ERA, 1).contains("at: +5, id: EffectId(#0), again: EffectId(#0)"), "{}", sample(ERA, 1));
        assert!(sample(ERA, 1).ends_with("timer: Refresh, next_effect:  }"), "{}", sample(ERA, 1));
    }
}
