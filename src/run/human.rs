//! Numbers as people read them: counts with separators, bytes, durations, rates.

/// `12,345`
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 network`, `2,016 networks`
pub fn plural(n: u64, noun: &str) -> String {
    let (stem, end) = match (n, noun.strip_suffix('y')) {
        (1, _) => (noun, ""),
        (_, Some(stem)) => (stem, "ies"),
        _ => (noun, "s"),
    };
    format!("{} {stem}{end}", count(n))
}

/// `17 B`, `1.2 MiB`
pub fn bytes(n: f64) -> String {
    scaled(n, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
}

/// `1.2 TFLOP`
pub fn flops(n: f64) -> String {
    scaled(n, 1000.0, &["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"])
}

/// `41.3 GFLOP/s`
pub fn gflops(per_second: f64) -> String {
    let giga = per_second / 1e9;
    match giga {
        // Tiny networks: 0.00 would say that nothing happens.
        ..0.01 => format!("{giga:.4} GFLOP/s"),
        ..10.0 => format!("{giga:.2} GFLOP/s"),
        _ => format!("{} GFLOP/s", count(giga.round() as u64)),
    }
}

fn scaled(n: f64, base: f64, units: &[&str]) -> String {
    let (mut n, mut unit) = (n, 0);
    // 999.96 would print as 1000.0.
    while n >= base - 0.05 && unit + 1 < units.len() {
        n /= base;
        unit += 1;
    }
    if unit == 0 { format!("{} {}", n.round(), units[0]) } else { format!("{n:.1} {}", units[unit]) }
}

/// `34 ms`, `0.4 s`, `12.3 s`, `3 min 05 s`, `2 h 07 min`, `3 d 04 h`
pub fn seconds(s: f64) -> String {
    if !s.is_finite() {
        return "?".to_string();
    }
    if (0.0..0.0995).contains(&s) && s > 0.0 {
        return format!("{:.0} ms", s * 1e3);
    }
    if s < 59.95 {
        return format!("{s:.1} s");
    }
    let whole = s.round() as u64;
    match whole {
        0..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
        _ => format!("{} d {:02} h", whole / 86_400, whole / 3600 % 24),
    }
}

/// `350/s`, `3.2/s`
pub fn rate(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.1}/s") } else { format!("{}/s", count(per_second.round() as u64)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([count(0), count(999), count(1000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([plural(1, "network"), plural(0, "entry")], ["1 network", "0 entries"]);
        assert_eq!([bytes(17.0), bytes(1536.0), bytes(1023.99 * 1024.0)], ["17 B", "1.5 KiB", "1.0 MiB"]);
        assert_eq!([flops(2.5e12), gflops(4.2e10), gflops(3.21e9)], ["2.5 TFLOP", "42 GFLOP/s", "3.21 GFLOP/s"]);
        assert_eq!([gflops(0.0), gflops(5.1e5)], ["0.0000 GFLOP/s", "0.0005 GFLOP/s"]);
        assert_eq!([seconds(0.04), seconds(61.0), seconds(7620.0)], ["40 ms", "1 min 01 s", "2 h 07 min"]);
    }
}
