//! A Rust source file as words, strings and marks: enough to ask which names it uses outside comments, without
//! understanding it.

/// What a token is. Comments, numbers, characters and lifetimes are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A keyword or identifier, without `r#`.
    Word,
    /// The inside of a string literal of any kind, as written.
    Text,
    /// One other character.
    Mark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'source> {
    pub kind: Kind,
    pub text: &'source str,
    /// Counted from 1.
    pub line: usize,
    /// Whether it stands in `#[...]` or `#![...]`.
    pub in_attribute: bool,
}

/// Every token of a source file, in order. Never fails: what does not end, ends with the file.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut line = 1;
    while let Some(first) = source[at..].chars().next() {
        let (kind, text, length) = next(&source[at..], first);
        if let Some(kind) = kind {
            tokens.push(Token { kind, text, line, in_attribute: false });
        }
        line += source[at..at + length].matches('\n').count();
        at += length;
    }
    mark_attributes(&mut tokens);
    tokens
}

/// The token at the start of `rest`: its kind (none where it is left out), its text and its whole length in bytes.
fn next(rest: &str, first: char) -> (Option<Kind>, &str, usize) {
    if rest.starts_with("//") {
        let length = rest.find('\n').unwrap_or(rest.len());
        return (None, "", length);
    }
    if rest.starts_with("/*") {
        return (None, "", block_comment(rest));
    }
    if let Some((text, length)) = string(rest) {
        return (Some(Kind::Text), text, length);
    }
    if first == '\'' {
        return (None, "", character_or_lifetime(rest));
    }
    if first.is_alphabetic() || first == '_' {
        // A raw identifier is the word that follows; a byte character starts like a word.
        if let Some(raw) = rest.strip_prefix("r#") {
            let length = word(raw);
            return (Some(Kind::Word), &raw[..length], 2 + length);
        }
        if rest.starts_with("b'") {
            return (None, "", 1 + character_or_lifetime(&rest[1..]));
        }
        let length = word(rest);
        return (Some(Kind::Word), &rest[..length], length);
    }
    if first.is_ascii_digit() {
        return (None, "", word(rest));
    }
    let kind = (!first.is_whitespace()).then_some(Kind::Mark);
    (kind, &rest[..first.len_utf8()], first.len_utf8())
}

fn word(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    loop {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            match rest[at..].chars().next() {
                Some(other) => at += other.len_utf8(),
                None => return at,
            }
        }
        if depth == 0 {
            return at;
        }
    }
}

/// A string literal at the start of `rest`: its inside and its whole length.
fn string(rest: &str) -> Option<(&str, usize)> {
    let opening = ["", "b", "c", "r", "br", "cr"].into_iter().find_map(|prefix| {
        let behind = rest.strip_prefix(prefix)?;
        let hashes = behind.len() - behind.trim_start_matches('#').len();
        let is_raw = prefix.ends_with('r');
        (behind[hashes..].starts_with('"') && (is_raw || hashes == 0)).then_some((
            prefix.len() + hashes + 1,
            hashes,
            is_raw,
        ))
    });
    let (start, hashes, is_raw) = opening?;
    let inside = &rest[start..];
    let end = if is_raw { inside.find(&format!("\"{}", "#".repeat(hashes))) } else { escaped_end(inside, '"') };
    let length = end.map_or(rest.len(), |end| start + end + 1 + hashes);
    Some((&inside[..end.unwrap_or(inside.len())], length))
}

/// Where the closing character stands that no backslash escapes.
fn escaped_end(inside: &str, closing: char) -> Option<usize> {
    let mut escaped = false;
    inside.char_indices().find_map(|(at, c)| {
        let closes = c == closing && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(at)
    })
}

/// The length of `'a'`, `'\n'` or `'lifetime` at the start of `rest`.
fn character_or_lifetime(rest: &str) -> usize {
    let inside = &rest[1..];
    let mut characters = inside.chars();
    match (characters.next(), characters.next()) {
        (Some('\\'), _) => escaped_end(inside, '\'').map_or(rest.len(), |end| end + 2),
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 1 + word(inside),
    }
}

fn mark_attributes(tokens: &mut [Token<'_>]) {
    let is = |token: Option<&Token<'_>>, text: &str| {
        token.is_some_and(|token| token.kind == Kind::Mark && token.text == text)
    };
    let mut at = 0;
    while at < tokens.len() {
        let bracket = at + if is(tokens.get(at + 1), "!") { 2 } else { 1 };
        if !(is(tokens.get(at), "#") && is(tokens.get(bracket), "[")) {
            at += 1;
            continue;
        }
        let mut depth = 0;
        while at < tokens.len() {
            tokens[at].in_attribute = true;
            depth += usize::from(is(tokens.get(at), "["));
            let closes = is(tokens.get(at), "]");
            depth -= usize::from(closes);
            at += 1;
            if closes && depth == 0 {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        tokens(source).into_iter().filter(|token| token.kind == Kind::Word).map(|token| token.text).collect()
    }

    fn texts(source: &str) -> Vec<&str> {
        tokens(source).into_iter().filter(|token| token.kind == Kind::Text).map(|token| token.text).collect()
    }

    #[test]
    fn comments_strings_characters_and_lifetimes_are_no_words() {
        let source = "// one\nfn two<'three>(x: &'three str) { /* four /* five */ six */ let c = ('s', '\\'', b'e', '{'); \"eight\" }";
        assert_eq!(words(source), ["fn", "two", "x", "str", "let", "c"]);
    }

    #[test]
    fn strings_of_every_kind_are_read_whole() {
        let source = r####"f("a \" b", r"c\", r#"d " e"#, b"f", br##"g"#h"##, c"i", "")"####;
        assert_eq!(texts(source), ["a \\\" b", "c\\", "d \" e", "f", "g\"#h", "i", ""]);
        assert_eq!(words(source), ["f"]);
    }

    #[test]
    fn words_that_begin_like_a_string_are_words() {
        assert_eq!(words("r b br rest bytes r#type crate"), ["r", "b", "br", "rest", "bytes", "type", "crate"]);
        assert_eq!(words("1e5 0xff_u8 2.0_f64 tail"), ["tail"]);
    }

    #[test]
    fn lines_are_counted_through_comments_and_strings() {
        let last = tokens("/* 1\n2 */ \"3\n\n4\" // five\nhere").pop();
        assert_eq!(last.map(|token| (token.text, token.line)), Some(("here", 5)));
    }

    #[test]
    fn attributes_are_marked_with_what_is_nested_in_them() {
        let source = "#![a]\n#[b(c = [1], d(e[2]))]\nfn f() { x[y] }";
        let marked = |wanted: bool| {
            let tokens = tokens(source).into_iter();
            let words = tokens.filter(|token| token.kind == Kind::Word && token.in_attribute == wanted);
            words.map(|token| token.text).collect::<Vec<_>>()
        };
        assert_eq!(marked(true), ["a", "b", "c", "d", "e"]);
        assert_eq!(marked(false), ["fn", "f", "x", "y"]);
    }

    #[test]
    fn what_does_not_end_ends_with_the_file() {
        for source in ["\"open", "r#\"open", "/* open", "'", "'\\", "b'", "#[open", "r#", "é'é"] {
            tokens(source);
        }
    }
}
