//! Log lines to templates, in the manner of Drain (He et al., ICWS 2017): a fixed-depth tree over the level, the number of words and the first
//! words, then the most similar template of the leaf. One pass, in order; what is learned later changes nothing that was said before.

use std::collections::BTreeMap;

/// Words of a line that are looked at.
const MAX_WORDS: usize = 24;
/// Characters of a line that are looked at.
const MAX_CHARS: usize = 600;
/// Share of equal words that makes a line one of a template.
const SIMILAR: f64 = 0.75;
/// Templates of a leaf; further lines join the most similar.
const MAX_LEAF: usize = 64;
/// Templates in all; further lines are of the template [`OVERFLOW`].
const MAX_TEMPLATES: usize = 20_000;
/// The template of lines beyond the bound.
pub const OVERFLOW: u32 = u32::MAX;

const WILDCARD: &str = "<*>";

/// Templates learned so far.
#[derive(Debug, Default)]
pub struct Drain {
    templates: Vec<Template>,
    leaves: BTreeMap<(bool, usize, String), Vec<u32>>,
}

#[derive(Debug)]
struct Template {
    words: Vec<String>,
    error: bool,
}

impl Drain {
    /// None learned.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of the template of a line.
    pub fn learn(&mut self, line: &str) -> u32 {
        let error = speaks_of_error(line);
        let words = words(line);
        let first = words.first().cloned().unwrap_or_default();
        let leaf = self.leaves.entry((error, words.len(), first)).or_default();
        let mut best: Option<(f64, u32)> = None;
        for &number in leaf.iter() {
            if let Some(template) = self.templates.get(number as usize) {
                let score = similarity(&template.words, &words);
                if best.is_none_or(|(most, _)| score > most) {
                    best = Some((score, number));
                }
            }
        }
        let full = leaf.len() >= MAX_LEAF;
        if let Some((score, number)) = best
            && (score >= SIMILAR || full)
        {
            if let Some(template) = self.templates.get_mut(number as usize) {
                for (old, new) in template.words.iter_mut().zip(&words) {
                    if old != new {
                        WILDCARD.clone_into(old);
                    }
                }
            }
            return number;
        }
        if self.templates.len() >= MAX_TEMPLATES {
            return OVERFLOW;
        }
        let number = u32::try_from(self.templates.len()).unwrap_or(OVERFLOW);
        self.templates.push(Template { words, error });
        leaf.push(number);
        number
    }

    /// Lines of this template speak of an error.
    pub fn is_error(&self, number: u32) -> bool {
        self.templates
            .get(number as usize)
            .is_some_and(|template| template.error)
    }

    /// The template as text.
    pub fn text(&self, number: u32) -> String {
        self.templates
            .get(number as usize)
            .map_or_else(|| "(further lines)".to_owned(), |template| template.words.join(" "))
    }

    /// How many templates there are.
    pub fn len(&self) -> usize {
        self.templates.len()
    }

    /// None yet.
    pub fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }
}

fn similarity(template: &[String], words: &[String]) -> f64 {
    let same = template
        .iter()
        .zip(words)
        .filter(|(old, new)| old == new || *old == WILDCARD)
        .count();
    same as f64 / template.len().max(1) as f64
}

/// A word that says that something went wrong, whatever the language of the service.
pub fn speaks_of_error(line: &str) -> bool {
    let head: String = line.chars().take(MAX_CHARS).collect();
    head.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        ["error", "exception", "fatal", "panic", "critical", "severe"]
            .iter()
            .any(|bad| word.eq_ignore_ascii_case(bad) || (word.len() > bad.len() && word.ends_with("Exception")))
    })
}

/// The words of a line, with what varies masked: whatever holds a digit, and the value in `key=value`. Neighbouring masks are one, so that lists of
/// any length look alike.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut rest = 0_usize;
    for word in line.split_whitespace() {
        rest += word.len() + 1;
        if rest > MAX_CHARS || words.len() >= MAX_WORDS {
            break;
        }
        let masked = mask(word);
        if masked == WILDCARD && words.last().is_some_and(|last| last == WILDCARD) {
            continue;
        }
        words.push(masked);
    }
    words
}

fn mask(word: &str) -> String {
    if let Some((key, _)) = word.split_once('=')
        && !key.is_empty()
        && !key.contains(|c: char| c.is_ascii_digit())
    {
        return format!("{key}={WILDCARD}");
    }
    if word.contains(|c: char| c.is_ascii_digit()) {
        // The source's line number after its name: the name tells much, the number moves with every release.
        return match word.split_once('#') {
            Some((name, number))
                if !name.contains(|c: char| c.is_ascii_digit()) && number.bytes().all(|b| b.is_ascii_digit()) =>
            {
                name.to_owned()
            }
            _ => WILDCARD.to_owned(),
        };
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_differ_in_values_are_one_template() {
        let mut drain = Drain::new();
        let a = drain.learn("INFO order 17 of user a12 placed after 3.5 ms");
        let b = drain.learn("INFO order 99 of user zz9 placed after 11 ms");
        assert_eq!(a, b);
        assert_eq!(drain.text(a), "INFO order <*> of user <*> placed after <*> ms");
    }

    #[test]
    fn a_word_that_varies_becomes_a_wildcard() {
        let mut drain = Drain::new();
        let a = drain.learn("cache refill from region shanghai is done now");
        assert_eq!(a, drain.learn("cache refill from region suzhou is done now"));
        assert_eq!(drain.text(a), "cache refill from region <*> is done now");
    }

    #[test]
    fn lists_of_any_length_look_alike() {
        let mut drain = Drain::new();
        let a = drain.learn("query routes [1a, 2b, 3c] now");
        assert_eq!(a, drain.learn("query routes [1a] now"));
    }

    #[test]
    fn an_error_is_never_of_the_template_of_a_success() {
        let mut drain = Drain::new();
        let good = drain.learn("INFO the query of the route by its id ended well");
        let bad = drain.learn("ERROR the query of the route by its id ended well");
        assert_ne!(good, bad);
        assert!(drain.is_error(bad) && !drain.is_error(good));
        assert!(speaks_of_error("nested java.lang.IllegalStateException: none"));
        assert!(!speaks_of_error("terror of exceptional size"));
    }

    #[test]
    fn templates_are_bounded() {
        let mut drain = Drain::new();
        for n in 0..1000_u32 {
            let word: String = (0..6).map(|k| char::from(b'a' + ((n >> (2 * k)) & 3) as u8)).collect();
            drain.learn(&format!("start {word} {word}x {word}y"));
        }
        assert!(drain.len() <= MAX_LEAF);
        assert!(drain.learn("") < OVERFLOW);
    }
}
