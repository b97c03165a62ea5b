//! Values of a key as figures write them: numbers with fewer digits, as many as it takes to tell them apart. Whoever needs
//! the number itself finds it where there is room: in the text, in hovers and in tables.

/// Digits that are written at least, if a number has them.
const DIGITS: usize = 4;

/// The values with fewer digits; empty where all are short already.
pub fn shortened(values: &[String], numbers: &[f64]) -> Vec<String> {
    if values.iter().all(|value| digits(value) <= DIGITS) {
        return Vec::new();
    }
    let texts = |most: usize| -> Vec<String> {
        let text = |(value, number): (&String, &f64)| match digits(value) <= most {
            true => value.clone(),
            false => rounded(*number, most),
        };
        values.iter().zip(numbers).map(text).collect()
    };
    // As numbers: beside 1.0 a 0.99999 is no 1.
    let differ = |texts: &[String]| {
        let mut sorted: Vec<f64> = texts.iter().map(|text| text.parse().unwrap_or(f64::NAN)).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.windows(2).all(|pair| pair[0] != pair[1])
    };
    (DIGITS..17).map(texts).find(|texts| differ(texts)).unwrap_or_default()
}

/// Significant digits of a number's text.
fn digits(text: &str) -> usize {
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    mantissa.chars().filter(char::is_ascii_digit).skip_while(|c| *c == '0').count()
}

/// To this many significant digits.
fn rounded(x: f64, digits: usize) -> String {
    let text = format!("{x:.*e}", digits - 1);
    let Ok(number) = text.parse::<f64>() else { return text };
    if (1e-4..1e6).contains(&number.abs()) { number.to_string() } else { format!("{number:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(values: &[&str]) -> Vec<String> {
        let texts: Vec<String> = values.iter().map(|v| v.to_string()).collect();
        shortened(&texts, &values.iter().map(|v| v.parse().unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn numbers_have_four_digits_or_as_many_as_tell_them_apart() {
        assert_eq!(short(&["0.5", "1.4142135623730951", "2.0"]), ["0.5", "1.414", "2.0"]);
        assert_eq!(short(&["1.41421356", "1.41424", "2.0"]), ["1.41421", "1.41424", "2.0"]);
        assert_eq!(short(&["1.23456789e-9", "12345678", "-0.001234567"]), ["1.235e-9", "1.235e7", "-0.001235"]);
        assert_eq!(short(&["0.99999999", "1.0", "2.0"]), ["0.99999999", "1.0", "2.0"]);
        // Rounded it would be the first one.
        assert_eq!(short(&["1.2", "1.20000001"]), ["1.2", "1.20000001"]);
    }

    #[test]
    fn short_numbers_stay_as_they_are() {
        assert!(short(&["0.5", "0.0001", "1024", "1e-12", "1.000"]).is_empty());
        assert!(short(&[]).is_empty());
    }
}
