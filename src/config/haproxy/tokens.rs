//! One line of a `haproxy.cfg` as HAProxy takes it apart: words, quotes, escapes, variables, comments.

use std::ops::Range;

/// One word, quotes and escapes taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Where it stands in the file, in bytes, with its quotes.
    pub(super) span: Range<usize>,
}

impl Word {
    pub(super) fn is(&self, text: &str) -> bool {
        self.text == text
    }
}

/// Why a line cannot be taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) span: Range<usize>,
    pub(super) why: &'static str,
}

/// Where the values of variables come from; an unset one is empty, as HAProxy has it.
pub(in crate::config) type Variables<'v> = dyn Fn(&str) -> Option<String> + 'v;

/// The words of a line that begins at byte `offset` of the file.
pub(super) fn words(line: &str, offset: usize, variables: &Variables<'_>) -> Result<Vec<Word>, Unreadable> {
    let mut reader = Reader { rest: line, at: offset, quote: None, word: None, words: Vec::new() };
    while let Some(next) = reader.rest.chars().next() {
        match (next, reader.quote) {
            ('\n' | '\r', _) | ('#', None) => break,
            ('"' | '\'', None) => reader.open(next),
            (_, Some((quote, _))) if next == quote => reader.close(),
            ('\\', None | Some(('"', _))) => reader.escape()?,
            ('$', Some(('"', _))) => reader.variable(variables)?,
            (' ' | '\t' | '\u{b}' | '\u{c}', None) => reader.end_word()?,
            _ => reader.take(next),
        }
    }
    if let Some((_, opened)) = reader.quote {
        return Err(unreadable(opened..opened + 1, "this quote is not closed on its line; close it"));
    }
    reader.end_word()?;
    Ok(reader.words)
}

fn unreadable(span: Range<usize>, why: &'static str) -> Unreadable {
    Unreadable { span, why }
}

struct Reader<'l> {
    rest: &'l str,
    /// The place of `rest` in the file.
    at: usize,
    /// The quote that is open, and where it was opened.
    quote: Option<(char, usize)>,
    /// The word so far, and where it began. Bytes, because escapes can say any.
    word: Option<(Vec<u8>, usize)>,
    words: Vec<Word>,
}

impl Reader<'_> {
    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
        self.at += bytes;
    }

    fn push(&mut self, bytes: &[u8]) {
        let at = self.at;
        self.word.get_or_insert_with(|| (Vec::new(), at)).0.extend_from_slice(bytes);
    }

    fn take(&mut self, next: char) {
        self.push(next.encode_utf8(&mut [0; 4]).as_bytes());
        self.skip(next.len_utf8());
    }

    fn open(&mut self, quote: char) {
        self.quote = Some((quote, self.at));
        // Even nothing between quotes is a word.
        self.push(b"");
        self.skip(1);
    }

    fn close(&mut self) {
        self.quote = None;
        self.skip(1);
    }

    fn end_word(&mut self) -> Result<(), Unreadable> {
        if let Some((bytes, begun)) = self.word.take() {
            let span = begun..self.at;
            let text = String::from_utf8(bytes)
                .map_err(|_| unreadable(span.clone(), "its \\x escapes make no UTF-8 text; write another"))?;
            if text.contains(char::REPLACEMENT_CHARACTER) {
                let why = "it has bytes that are not UTF-8 text; write it in UTF-8 (`iconv -t UTF-8` translates a file)";
                return Err(unreadable(span, why));
            }
            self.words.push(Word { text, span });
        }
        if !self.rest.is_empty() && !self.rest.starts_with(['#', '\n', '\r']) {
            self.skip(1);
        }
        Ok(())
    }

    /// After a backslash; what is no escape stays as it is.
    fn escape(&mut self) -> Result<(), Unreadable> {
        let in_quotes = self.quote.is_some();
        let mut following = self.rest.chars().skip(1);
        let (bytes, length): (&[u8], usize) = match following.next() {
            None | Some('\n' | '\r') => {
                let why = "HAProxy takes no line as going on after a backslash; write it as one line";
                return Err(unreadable(self.at..self.at + 1, why));
            }
            Some(' ') => (b" ", 2),
            Some('\\') => (b"\\", 2),
            Some('#') => (b"#", 2),
            Some('\'') => (b"'", 2),
            Some('"') => (b"\"", 2),
            Some('t') => (b"\t", 2),
            Some('r') => (b"\r", 2),
            Some('n') => (b"\n", 2),
            Some('$') if in_quotes => (b"$", 2),
            Some('x') => {
                let digits = following.next().zip(following.next());
                let byte = digits.and_then(|(high, low)| Some(high.to_digit(16)? * 16 + low.to_digit(16)?));
                let Some(byte) = byte.and_then(|byte| u8::try_from(byte).ok()) else {
                    let why = "\\x wants two hexadecimal digits after it";
                    return Err(unreadable(self.at..self.at + 2, why));
                };
                self.push(&[byte]);
                self.skip(4);
                return Ok(());
            }
            Some(_) => (b"\\", 1),
        };
        self.push(bytes);
        self.skip(length);
        Ok(())
    }

    /// `$NAME`, `${NAME}` or `${NAME-default}`, which HAProxy knows between double quotes alone.
    fn variable(&mut self, variables: &Variables<'_>) -> Result<(), Unreadable> {
        let begun = self.at;
        let braced = self.rest.starts_with("${");
        let inside = self.rest.get(if braced { 2 } else { 1 }..).unwrap_or_default();
        let name: String = inside.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let here = |length: usize| begun..begun + length;
        if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
            let why = "a dollar sign between double quotes begins a variable's name; write \\$ for itself";
            return Err(unreadable(here(1), why));
        }
        let mut value = variables(&name);
        let mut length = name.len() + if braced { 2 } else { 1 };
        if braced {
            let after = &inside[name.len()..];
            let Some(end) = after.find('}') else {
                return Err(unreadable(here(2), "this variable's name is not closed; write }"));
            };
            match after[..end].strip_prefix('-') {
                Some(default) => value = value.or_else(|| Some(default.to_owned())),
                None if end == 0 => {}
                None => {
                    let why = "only ${NAME} and ${NAME-default} are understood; write the value itself";
                    return Err(unreadable(here(length + end + 1), why));
                }
            }
            length += end + 1;
        }
        self.push(value.unwrap_or_default().as_bytes());
        self.skip(length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variables(name: &str) -> Option<String> {
        (name == "HOST").then(|| "h 1".to_owned())
    }

    fn texts(line: &str) -> Vec<String> {
        words(line, 0, &variables).unwrap().into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn lines_are_taken_apart_as_haproxy_does() {
        for (line, expected) in [
            ("", &[][..]),
            (" \t # comment", &[]),
            ("  bind\t*:443  ", &["bind", "*:443"]),
            ("a b#c d", &["a", "b"]),
            ("a 'b # c' \"d # e\"", &["a", "b # c", "d # e"]),
            (r"a\ b \# \\ \t \x41", &["a b", "#", "\\", "\t", "A"]),
            (r"HTTP/1.1\r\nHost:\ x", &["HTTP/1.1\r\nHost: x"]),
            (r"\' \q \1", &["'", r"\q", r"\1"]),
            (r#"'a\ b$HOST' "a\"b""#, &[r"a\ b$HOST", "a\"b"]),
            (r#""$HOST" "${HOST}:1" $HOST "\$HOST" \$"#, &["h 1", "h 1:1", "$HOST", "$HOST", r"\$"]),
            (r#""${NONE}" "${NONE-x y}" "${HOST-x}" "$NONE:1""#, &["", "x y", "h 1", ":1"]),
            (r#"a"b c"'d' """#, &["ab cd", ""]),
            ("a\r\nb", &["a"]),
            ("é 'ü'", &["é", "ü"]),
        ] {
            assert_eq!(texts(line), expected, "{line}");
        }
    }

    #[test]
    fn a_word_knows_where_it_stands() {
        let line = "  server 'a b' x";
        let words = words(line, 100, &variables).unwrap();
        let shown: Vec<&str> =
            words.iter().map(|word| &line[word.span.start - 100..word.span.end - 100]).collect();
        assert_eq!(shown, ["server", "'a b'", "x"]);
    }

    #[test]
    fn what_is_no_line_says_where_and_why() {
        for (line, span, why) in [
            ("a \"b", 2..3, "not closed"),
            ("a 'b\"", 2..3, "not closed"),
            ("a \\", 2..3, "going on"),
            ("a \\xg1", 2..4, "hexadecimal"),
            ("a \\xff", 2..6, "UTF-8"),
            ("a b\u{fffd} c", 2..6, "bytes"),
            ("\"$\"", 1..2, "variable's name"),
            ("\"$1\"", 1..2, "variable's name"),
            ("\"${A\"", 1..3, "write }"),
            ("\"${A[*]}\"", 1..8, "NAME-default"),
        ] {
            let error = words(line, 0, &variables).unwrap_err();
            assert_eq!(error.span, span, "{line}");
            assert!(error.why.contains(why), "{line}: {}", error.why);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let line = String::from_utf8_lossy(&bytes);
            let _ = words(&line, 0, &variables);
        }

        #[test]
        fn no_quoting_makes_it_panic_and_every_word_is_on_its_line(line in "[ab \\\\\"'#$\\{\\}x0-9é-]{0,40}") {
            for word in words(&line, 0, &variables).unwrap_or_default() {
                prop_assert!(line.get(word.span.clone()).is_some_and(|there| !there.is_empty()), "{word:?}");
            }
        }
    }
}
