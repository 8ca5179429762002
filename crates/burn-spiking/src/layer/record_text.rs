//! Conversion of constants to lines of text, and of text to the numbers of a tensor.

/// The first line of the constants, with the version of the format. If the lines change, the
/// version changes, too.
pub(super) const VERSION: (&str, &str) = ("burn-spiking record", "1");

/// Number of words that store the constants.
pub(super) const WORDS: usize = 1024;

/// Number of characters of a value that are kept. In a longer value, a check sum replaces the rest.
const LONGEST: usize = 160;

/// The name of a constant, and its value.
pub(super) type Line = (String, String);

/// The name of the line that lists the synapse types with connections given by hand.
pub(super) const GIVEN: &str = "connections given by hand";

/// Shortens a value to a bounded length. Different values stay different, up to collisions of the
/// check sum.
pub(super) fn shortened(value: &str) -> String {
    match value.char_indices().nth(LONGEST) {
        None => value.to_string(),
        Some((end, _)) => format!("{} … (check sum {:016x})", &value[..end], check_sum(value)),
    }
}

/// Returns the FNV-1a hash of a text, 64 bits.
fn check_sum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Encodes lines as text in words of four bytes, with zeros after its end.
pub(super) fn encoded(lines: &[Line]) -> Vec<i32> {
    let text: String = lines.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    assert!(text.len() <= 4 * WORDS, "values were shortened");
    let mut words = vec![0; WORDS];
    for (word, bytes) in words.iter_mut().zip(text.as_bytes().chunks(4)) {
        let mut four = [0; 4];
        four[..bytes.len()].copy_from_slice(bytes);
        *word = i32::from_le_bytes(four);
    }
    words
}

/// Decodes the lines from words. Returns no lines if the words are not text.
pub(super) fn decoded(words: &[i32]) -> Vec<Line> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).take_while(|&byte| byte != 0).collect();
    let text = String::from_utf8(bytes).unwrap_or_default();
    let line = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_string(), value.to_string()));
    text.lines().filter_map(line).collect()
}

/// A constant whose value in a record differs from the layer's.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    /// Name and value in the record.
    pub(super) saved: String,
    /// Name and value in the layer.
    pub(super) own: String,
}

/// Returns all constants in which a record and a layer differ.
pub(super) fn differences(saved: &[Line], own: &[Line]) -> Vec<Difference> {
    let value = |lines: &[Line], name: &str| -> String {
        let found = lines.iter().find(|(other, _)| other == name);
        found.map_or_else(|| format!("no {name}"), |(name, value)| format!("{name} {value}"))
    };
    let mut names: Vec<&String> = own.iter().map(|(name, _)| name).collect();
    names.extend(saved.iter().map(|(name, _)| name).filter(|name| !own.iter().any(|(other, _)| other == *name)));
    names.retain(|name| *name != GIVEN);
    let of = |name: &String| Difference { saved: value(saved, name), own: value(own, name) };
    names.into_iter().map(of).filter(|difference| difference.saved != difference.own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_from_words() {
        let lines: Vec<Line> = vec![
            ("tau".into(), "14.142135623730951 ms, 0.1: a value with a colon".into()),
            ("wiring".into(), shortened(&"1, ".repeat(500))),
        ];
        assert_eq!(decoded(&encoded(&lines)), lines);
        assert_eq!(decoded(&[0; 4]), []);
        // Bytes that are not text.
        assert_eq!(decoded(&[-1, -1]), []);
    }

    #[test]
    fn long_values_differ_where_they_differ_at_the_end() {
        let long = "0123456789".repeat(100);
        assert_eq!(shortened(&long), shortened(&long));
        assert_ne!(shortened(&format!("{long}a")), shortened(&format!("{long}b")));
        assert!(shortened(&long).chars().count() < LONGEST + 40);
    }

    #[test]
    fn every_difference_is_named_on_both_sides() {
        let line = |name: &str, value: &str| (name.to_string(), value.to_string());
        let saved = [line("dt", "1 ms"), line("gate", "quintic"), line("old", "x"), line(GIVEN, "0")];
        let own = [line("dt", "2 ms"), line("gate", "quintic"), line("new", "y"), line(GIVEN, "")];
        let told: Vec<_> = differences(&saved, &own).into_iter().map(|one| (one.saved, one.own)).collect();
        let pair = |saved: &str, own: &str| (saved.to_string(), own.to_string());
        assert_eq!(told, [pair("dt 1 ms", "dt 2 ms"), pair("no new", "new y"), pair("old x", "no old")]);
    }
}
