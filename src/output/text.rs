//! Cells as bytes: numbers as the shortest text that reads back equal, text quoted by RFC 4180.

use super::fields::Field;
use crate::config::Value;
use crate::stats::catalog::Cell;

/// Appends a finite float as the shortest text that round-trips, always with `.` or an exponent; nothing for NaN and
/// infinities, which have no place in a CSV.
pub fn push_float(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    let plus = if value.abs() >= 1e16 { text.iter().rposition(|&b| b == b'+') } else { None };
    match plus {
        // `1e+30` is `1e30` here, the shorter text.
        Some(plus) => {
            out.extend_from_slice(&text[..plus]);
            out.extend_from_slice(&text[plus + 1..]);
        }
        None => push_short(out, text),
    }
}

/// Appends a number's text: two overlapping halves of a fixed size, because a call that copies a few bytes takes longer than
/// they do, and a table has a hundred million of them.
fn push_short(out: &mut Vec<u8>, text: &[u8]) {
    let (start, end) = (out.len(), out.len() + text.len());
    if text.len() > 32 {
        out.extend_from_slice(text);
    } else if let (Some(first), Some(last)) = (text.first_chunk::<16>(), text.last_chunk::<16>()) {
        out.extend_from_slice(&[0; 32]);
        out[start..start + 16].copy_from_slice(first);
        out[end - 16..end].copy_from_slice(last);
        out.truncate(end);
    } else if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        out.extend_from_slice(&[0; 16]);
        out[start..start + 8].copy_from_slice(first);
        out[end - 8..end].copy_from_slice(last);
        out.truncate(end);
    } else {
        out.extend(text);
    }
}

pub fn push_int(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    push_short(out, &digits[start..]);
}

/// Appends text as one field, quoted where it has to be.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    if !text.bytes().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r')) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut writer = csv::WriterBuilder::new().buffer_capacity(text.len() + 16).from_writer(&mut *out);
    writer.write_record([text]).and_then(|()| Ok(writer.flush()?)).expect("writing to memory does not fail");
    drop(writer);
    // The line end belongs after the last field of the row.
    out.pop();
}

pub fn push_value(out: &mut Vec<u8>, value: Option<&Value>) {
    match value {
        None => {}
        Some(Value::Int(v)) => push_int(out, *v),
        Some(Value::Float(v)) => push_float(out, *v + 0.0),
        Some(Value::Bool(v)) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
        Some(Value::Word(v)) => push_text(out, v),
    }
}

pub fn push_cell(out: &mut Vec<u8>, cell: Cell) {
    match cell {
        Cell::Empty => {}
        Cell::Int(v) => push_int(out, v),
        Cell::Float(v) => push_float(out, v),
    }
}

pub fn push_optional(out: &mut Vec<u8>, value: Option<f64>) {
    push_cell(out, value.into());
}

/// A header line.
pub fn header(fields: &[Field]) -> Vec<u8> {
    let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
    (names.join(",") + "\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(value: f64) -> String {
        let mut out = Vec::new();
        push_float(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_round_trip_and_look_like_floats() {
        let mut values = vec![0.0, 1.0, -1.5, 0.1, 1e16, 1e-7, 123_456_789.0, f64::MAX, f64::MIN_POSITIVE, 5e-324];
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..10_000 {
            bits = bits.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            values.push(f64::from_bits(bits));
        }
        for value in values.into_iter().filter(|v| v.is_finite()) {
            let text = float(value);
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{text}");
            assert!(text.contains('.') || text.contains('e'), "{text} looks like an integer");
            assert!(text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'e')), "{text}");
            assert!(text.len() <= 24, "{text}");
        }
        assert_eq!([float(1.0), float(1e-30), float(1e30), float(-1.5e16)], ["1.0", "1e-30", "1e30", "-1.5e16"]);
    }

    #[test]
    fn texts_of_any_length_are_appended_whole() {
        let text: Vec<u8> = (1..=40).collect();
        for length in 0..=text.len() {
            let mut out = b"before".to_vec();
            push_short(&mut out, &text[..length]);
            push_short(&mut out, b"after");
            assert_eq!(out, [b"before", &text[..length], b"after"].concat(), "{length}");
        }
    }

    #[test]
    fn infinities_and_nan_are_empty() {
        assert_eq!([float(f64::NAN), float(f64::INFINITY), float(f64::NEG_INFINITY)], ["", "", ""]);
        let mut out = Vec::new();
        for value in [Some(f64::NAN), Some(f64::INFINITY), None] {
            push_optional(&mut out, value);
        }
        assert!(out.is_empty());
    }

    #[test]
    fn integers_are_plain_digits() {
        for value in [0, 7, 10, 1 << 53, u64::MAX] {
            let mut out = Vec::new();
            push_int(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }

    #[test]
    fn text_reads_back_whatever_it_holds() {
        for text in ["plain", "", "a, b", "say \"no\"", "two\nlines", "\r", " spaces ", "naïve, µ", "\"", ","] {
            let mut out = Vec::new();
            push_text(&mut out, "first");
            out.push(b',');
            push_text(&mut out, text);
            out.extend_from_slice(b",last\n");
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&out[..]);
            let records: Vec<_> = reader.records().map(|r| r.unwrap()).collect();
            assert_eq!(records.len(), 1, "{text:?}");
            assert_eq!(records[0].iter().collect::<Vec<_>>(), ["first", text, "last"]);
        }
    }
}
