//! `printf` as a device has it: C conversions over a buffer of arguments.

/// Longest field that a conversion may ask for.
const MAX_FIELD: usize = 4096;

/// Where the arguments come from.
pub trait Arguments {
    /// The next argument of `bytes` bytes (4 or 8), zero-extended.
    fn next(&mut self, bytes: usize) -> Option<u64>;
    /// The string at an address.
    fn string(&mut self, address: u64) -> Option<String>;
}

/// One conversion: `%-08.3lf`.
#[derive(Default)]
struct Field {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    /// Bytes of an integer: 1, 2, 4 or 8.
    bytes: usize,
}

/// What is printed, and how many arguments that took. Conversions that do not exist are printed as they stand; where
/// arguments are missing, the rest is dropped.
pub fn format(text: &str, arguments: &mut dyn Arguments) -> (String, u32) {
    let (mut out, mut taken) = (String::new(), 0);
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let from = &rest[at..];
        let mut chars = from[1..].chars().peekable();
        let Some(field) = parse(&mut chars, arguments, &mut taken) else { return (out, taken) };
        let Some(conversion) = chars.next() else {
            out.push_str(from);
            return (out, taken);
        };
        let after: String = chars.collect();
        rest = &from[from.len() - after.len()..];
        if conversion == '%' {
            out.push('%');
            continue;
        }
        match convert(&field, conversion, arguments) {
            Some(Some(text)) => {
                out.push_str(&text);
                taken += 1;
            }
            Some(None) => return (out, taken),
            None => out.push_str(&from[..from.len() - after.len()]),
        }
    }
    out.push_str(rest);
    (out, taken)
}

fn parse(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    arguments: &mut dyn Arguments,
    taken: &mut u32,
) -> Option<Field> {
    let mut field = Field { bytes: 4, ..Field::default() };
    while let Some(&c) = chars.peek() {
        match c {
            '-' => field.left = true,
            '+' => field.plus = true,
            ' ' => field.space = true,
            '#' => field.alternate = true,
            '0' => field.zero = true,
            _ => break,
        }
        chars.next();
    }
    let mut number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| -> Option<i64> {
        if chars.peek() == Some(&'*') {
            chars.next();
            *taken += 1;
            return arguments.next(4).map(|v| i64::from(v as i32));
        }
        let mut value = 0i64;
        while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
            value = (value * 10 + i64::from(digit)).min(MAX_FIELD as i64);
            chars.next();
        }
        Some(value)
    };
    let width = number(chars)?;
    field.left |= width < 0;
    field.width = (width.unsigned_abs() as usize).min(MAX_FIELD);
    if chars.peek() == Some(&'.') {
        chars.next();
        field.precision = usize::try_from(number(chars)?).ok().map(|p| p.min(MAX_FIELD));
    }
    while let Some(&c) = chars.peek() {
        field.bytes = match (c, field.bytes) {
            ('h', 2) => 1,
            ('h', _) => 2,
            ('l' | 'j' | 'z' | 't' | 'L', _) => 8,
            _ => break,
        };
        chars.next();
    }
    Some(field)
}

/// `None`: no such conversion; `Some(None)`: no argument is left.
fn convert(field: &Field, conversion: char, arguments: &mut dyn Arguments) -> Option<Option<String>> {
    let integer = |arguments: &mut dyn Arguments| arguments.next(field.bytes.max(4));
    let shift = 64 - 8 * field.bytes as u32;
    let text = match conversion {
        'd' | 'i' => integer(arguments).map(|v| {
            let value = (v << shift) as i64 >> shift;
            number(field, sign(field, value < 0), &value.unsigned_abs().to_string())
        }),
        'u' => integer(arguments).map(|v| number(field, "", &(v << shift >> shift).to_string())),
        'o' => integer(arguments).map(|v| {
            let digits = format!("{:o}", v << shift >> shift);
            let prefix = if field.alternate && !digits.starts_with('0') { "0" } else { "" };
            number(field, "", &format!("{prefix}{digits}"))
        }),
        'x' | 'X' => integer(arguments).map(|v| {
            let value = v << shift >> shift;
            let digits = if conversion == 'x' { format!("{value:x}") } else { format!("{value:X}") };
            let prefix = match (field.alternate && value != 0, conversion) {
                (true, 'x') => "0x",
                (true, _) => "0X",
                _ => "",
            };
            number(field, prefix, &digits)
        }),
        'c' => arguments.next(4).map(|v| pad(field, "", &char::from(v as u8).to_string(), false)),
        'p' => arguments.next(8).map(|v| pad(field, "", &format!("{v:#x}"), false)),
        's' => arguments.next(8).map(|address| {
            let text = arguments.string(address).unwrap_or_else(|| "(null)".to_string());
            let kept: String = text.chars().take(field.precision.unwrap_or(usize::MAX)).collect();
            pad(field, "", &kept, false)
        }),
        'f' | 'F' | 'e' | 'E' | 'g' | 'G' | 'a' | 'A' => {
            arguments.next(8).map(|bits| float(field, conversion, f64::from_bits(bits)))
        }
        _ => return None,
    };
    Some(text)
}

fn sign(field: &Field, negative: bool) -> &'static str {
    match (negative, field.plus, field.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
}

/// An integer's digits: the precision is a minimum of digits, and switches the padding with zeros off.
fn number(field: &Field, prefix: &str, digits: &str) -> String {
    let wanted = field.precision.unwrap_or(1);
    let digits = match (digits, wanted) {
        ("0", 0) => String::new(),
        _ => format!("{}{digits}", "0".repeat(wanted.saturating_sub(digits.len()))),
    };
    pad(field, prefix, &digits, field.zero && field.precision.is_none())
}

fn pad(field: &Field, prefix: &str, body: &str, zeros: bool) -> String {
    let fill = field.width.saturating_sub(prefix.chars().count() + body.chars().count());
    if field.left {
        format!("{prefix}{body}{}", " ".repeat(fill))
    } else if zeros {
        format!("{prefix}{}{body}", "0".repeat(fill))
    } else {
        format!("{}{prefix}{body}", " ".repeat(fill))
    }
}

fn float(field: &Field, conversion: char, value: f64) -> String {
    let sign = sign(field, value.is_sign_negative());
    let magnitude = value.abs();
    let upper = conversion.is_ascii_uppercase();
    let cased = |text: String| if upper { text.to_uppercase() } else { text };
    if !magnitude.is_finite() {
        let text = if magnitude.is_nan() { "nan" } else { "inf" };
        return pad(field, sign, &cased(text.to_string()), false);
    }
    let precision = field.precision.unwrap_or(6);
    match conversion.to_ascii_lowercase() {
        'f' => pad(field, sign, &fixed(magnitude, precision, field.alternate), field.zero),
        'e' => pad(field, sign, &cased(scientific(magnitude, precision, field.alternate)), field.zero),
        'g' => {
            let precision = precision.max(1);
            let exponent = decimal_exponent(magnitude, precision - 1);
            let mut text = if (-4..precision as i32).contains(&exponent) {
                fixed(magnitude, (precision as i32 - 1 - exponent) as usize, field.alternate)
            } else {
                scientific(magnitude, precision - 1, field.alternate)
            };
            if !field.alternate {
                text = without_zeros(&text);
            }
            pad(field, sign, &cased(text), field.zero)
        }
        _ => {
            let text = hexadecimal(magnitude, field.precision, field.alternate);
            pad(field, &format!("{sign}0{}", if upper { 'X' } else { 'x' }), &cased(text), field.zero)
        }
    }
}

fn fixed(value: f64, precision: usize, point: bool) -> String {
    let text = format!("{value:.precision$}");
    if point && precision == 0 { text + "." } else { text }
}

/// The exponent of a value rounded to `precision` digits behind the point.
fn decimal_exponent(value: f64, precision: usize) -> i32 {
    let text = format!("{value:.precision$e}");
    text.rsplit('e').next().and_then(|e| e.parse().ok()).unwrap_or(0)
}

/// C writes at least two digits of the exponent, and its sign.
fn scientific(value: f64, precision: usize, point: bool) -> String {
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    let point = if point && precision == 0 { "." } else { "" };
    format!("{mantissa}{point}e{sign}{:02}", exponent.abs())
}

fn without_zeros(text: &str) -> String {
    let (mantissa, exponent) = match text.find('e') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    format!("{mantissa}{exponent}")
}

/// Without the leading `0x`.
fn hexadecimal(value: f64, precision: Option<usize>, point: bool) -> String {
    let bits = value.to_bits();
    let (mut exponent, mut mantissa) = ((bits >> 52) as i32 & 0x7ff, bits & ((1 << 52) - 1));
    if exponent == 0 {
        exponent = if mantissa == 0 { 0 } else { -1022 };
    } else {
        exponent -= 1023;
        mantissa |= 1 << 52;
    }
    let digits = match precision {
        Some(p) if p < 13 => {
            // To nearest, ties to even.
            let drop = 52 - 4 * p as u32;
            let (half, rest) = (1u64 << (drop - 1), mantissa & ((1 << drop) - 1));
            mantissa >>= drop;
            mantissa += u64::from(rest > half || rest == half && mantissa & 1 != 0);
            mantissa <<= drop;
            p
        }
        Some(p) => p,
        None => 13 - (mantissa & ((1 << 52) - 1) | 1 << 52).trailing_zeros() as usize / 4,
    };
    let fraction = format!("{:013x}", mantissa & ((1 << 52) - 1));
    let shown = if digits <= 13 { fraction[..digits].to_string() } else { format!("{fraction:0<digits$}") };
    let dot = if digits > 0 || point { "." } else { "" };
    format!("{}{dot}{shown}p{exponent:+}", mantissa >> 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct List(Vec<u64>);

    impl Arguments for List {
        fn next(&mut self, _: usize) -> Option<u64> {
            (!self.0.is_empty()).then(|| self.0.remove(0))
        }
        fn string(&mut self, address: u64) -> Option<String> {
            (address != 0).then(|| format!("<{address}>"))
        }
    }

    fn print(text: &str, arguments: &[u64]) -> String {
        format(text, &mut List(arguments.to_vec())).0
    }

    fn print_float(text: &str, value: f64) -> String {
        print(text, &[value.to_bits()])
    }

    #[test]
    fn integers() {
        assert_eq!(print("%d|%5d|%-5d|%05d|%+d|% d", &[7, 7, 7, 7, 7, 7]), "7|    7|7    |00007|+7| 7");
        assert_eq!(print("%d %ld %hhd", &[u64::from(u32::MAX), u64::MAX, 0x1ff]), "-1 -1 -1");
        assert_eq!(print("%u %x %#X %#o %o", &[0xffff_ffff, 255, 255, 8, 8]), "4294967295 ff 0XFF 010 10");
        assert_eq!(print("%.3d|%6.3d|%.0d|", &[5, 5, 0]), "005|   005||");
        assert_eq!(print("%*d|%-*d|", &[4, 1, 4, 1]), "   1|1   |");
        assert_eq!(print("%llx %zu", &[1 << 40, 1 << 40]), "10000000000 1099511627776");
    }

    #[test]
    fn floats() {
        assert_eq!(print_float("%f", 1.5), "1.500000");
        assert_eq!(print_float("%08.2f", -1.5), "-0001.50");
        assert_eq!(print_float("%.0f", 2.5), "2");
        assert_eq!(print_float("%e", 12345.678), "1.234568e+04");
        assert_eq!(print_float("%.2E", 0.00012), "1.20E-04");
        assert_eq!(print_float("%g", 0.0001), "0.0001");
        assert_eq!(print_float("%g", 0.00001), "1e-05");
        assert_eq!(print_float("%g", 123456.0), "123456");
        assert_eq!(print_float("%g", 1234567.0), "1.23457e+06");
        assert_eq!(print_float("%g", 0.0), "0");
        assert_eq!(print_float("%#g", 1.0), "1.00000");
        assert_eq!(print_float("%a", 1.0), "0x1p+0");
        assert_eq!(print_float("%.1a", 1.97), "0x2.0p+0"); // glibc prints 0x2.0p+0 as well
        assert_eq!(print_float("%A", 0.15625), "0X1.4P-3");
        assert_eq!(print_float("%5.1f|", f64::INFINITY), "  inf|");
        assert_eq!(print_float("%F", f64::NAN), "NAN");
    }

    #[test]
    fn texts() {
        assert_eq!(print("a%%b %s %5s %-5s| %.2s %c", &[1, 1, 1, 22, 65]), "a%b <1>   <1> <1>  | <2 A");
        assert_eq!(print("%s %p", &[0, 16]), "(null) 0x10");
        assert_eq!(print("%y %d", &[3]), "%y 3");
        assert_eq!(print("%d %d", &[3]), "3 ");
        assert_eq!(print("100%", &[]), "100%");
    }
}
