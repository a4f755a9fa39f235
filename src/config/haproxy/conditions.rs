//! Conditions behind `if` and `unless`, as far as a `ClientHello` decides them: the server's name, the protocols offered,
//! and whether there is a hello at all.

use std::ops::Range;

use super::remarks::Remarks;
use super::sections::Line;
use super::tokens::Word;

/// More would be a mistake, or a table that nobody reads.
const MOST_CASES: usize = 256;

/// One way in which a condition holds. Everything in it has to be so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Case {
    /// Whether there is a `ClientHello` (`true`) or something else; `None`: either.
    pub(super) hello: Option<bool>,
    /// The names that the client asks for, any of them, as Raftgate writes them; empty: whatever it asks for.
    pub(super) names: Vec<String>,
    /// The protocols that it offers, any of them; empty: whatever it offers.
    pub(super) alpn: Vec<String>,
}

impl Case {
    fn hello() -> Self {
        Case { hello: Some(true), ..Case::default() }
    }

    /// Whether it takes every hello.
    pub(super) fn takes_all_hellos(&self) -> bool {
        self.takes_hellos() && self.names.is_empty() && self.alpn.is_empty()
    }

    /// Whether it takes some hellos.
    pub(super) fn takes_hellos(&self) -> bool {
        self.hello != Some(false)
    }

    /// Whether it takes what is no hello.
    pub(super) fn takes_others(&self) -> bool {
        self.hello != Some(true)
    }
}

/// Reads the condition that begins with the word at `place`; without one, the answer is a case that always holds.
/// Nothing, if it cannot be taken over.
pub(super) fn cases(line: &Line, place: usize, acls: &[Line], remarks: &mut Remarks) -> Option<Vec<Case>> {
    let words = line.arguments.get(place..).unwrap_or_default();
    let Some((first, rest)) = words.split_first() else { return Some(vec![Case::default()]) };
    let span = line.span_from(place);
    if !first.is("if") && !first.is("unless") {
        return remarks.refused(
            &span,
            &line.keyword.text,
            "only a condition with `if` or `unless` can follow",
        );
    }
    if rest.is_empty() {
        return remarks.refused(&span, &line.keyword.text, "its condition is empty; write one, or remove it");
    }
    let cases = Reader { rest, acls, remarks }.disjunction()?;
    if first.is("if") {
        return Some(cases);
    }
    match cases.as_slice() {
        [case] if case.takes_all_hellos() != case.takes_others() => Some(vec![opposite(case)]),
        _ => remarks.refused(&span, "unless", NO_NEGATION),
    }
}

const NO_NEGATION: &str = "Raftgate's routes say who is taken, not who is not; since the first that matches decides, put a \
                           line for the names themselves above, and this one without its condition below";

/// Of a case that is about the hello alone.
fn opposite(case: &Case) -> Case {
    Case { hello: case.hello.map(|hello| !hello), ..Case::default() }
}

struct Reader<'l, 'r> {
    rest: &'l [Word],
    acls: &'l [Line],
    remarks: &'r mut Remarks,
}

impl<'l> Reader<'l, '_> {
    fn disjunction(mut self) -> Option<Vec<Case>> {
        let mut all = Vec::new();
        let mut holding = vec![Case::default()];
        while let Some(word) = self.next() {
            if word.is("or") || word.is("||") {
                // Nothing before it would always hold.
                if holding == [Case::default()] || self.rest.is_empty() {
                    let why = "something is missing beside it; write a condition on both sides";
                    return self.remarks.refused(&word.span, &word.text, why);
                }
                all.append(&mut std::mem::replace(&mut holding, vec![Case::default()]));
                continue;
            }
            let (term, span) = self.term(word)?;
            holding = self.both(&holding, &term, &span)?;
        }
        all.append(&mut holding);
        Some(all)
    }

    fn next(&mut self) -> Option<&'l Word> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// One named acl or one in braces, perhaps negated, and where it stands.
    fn term(&mut self, first: &'l Word) -> Option<(Vec<Case>, Range<usize>)> {
        let bare = first.text.trim_start_matches('!');
        let mut negations = first.text.len() - bare.len();
        let mut word = first;
        let mut text = bare;
        while text.is_empty() && negations > 0 {
            let Some(next) = self.next() else { break };
            word = next;
            text = next.text.trim_start_matches('!');
            negations += next.text.len() - text.len();
        }
        let start = first.span.start;
        let (cases, end) =
            if text == "{" { self.braces(word)? } else { (self.named(word, text)?, word.span.end) };
        let span = start..end;
        if negations.is_multiple_of(2) {
            return Some((cases, span));
        }
        match cases.as_slice() {
            [case] if *case == Case::hello() => Some((vec![opposite(case)], span)),
            _ => self.remarks.refused(&span, "a condition with !", NO_NEGATION),
        }
    }

    fn braces(&mut self, opening: &Word) -> Option<(Vec<Case>, usize)> {
        let Some(end) = self.rest.iter().position(|word| word.is("}")) else {
            return self.remarks.refused(
                &opening.span,
                "{",
                "this brace is not closed on its line; write } behind it",
            );
        };
        let (inside, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        let case = criterion(inside, &opening.span, self.remarks)?;
        Some((vec![case], rest[0].span.end))
    }

    /// Lines of one name hold if any of them does.
    fn named(&mut self, word: &Word, name: &str) -> Option<Vec<Case>> {
        let lines: Vec<&Line> = self.acls.iter().filter(|line| line.argument(0) == name).collect();
        if lines.is_empty() {
            let why = format!(
                "there is no `acl {name}` in this section, and of HAProxy's own Raftgate knows none; write one"
            );
            return self.remarks.refused(&word.span, "the condition", why);
        }
        let cases: Vec<Option<Case>> = lines
            .into_iter()
            .map(|line| criterion(line.arguments.get(1..).unwrap_or_default(), &line.span(), self.remarks))
            .collect();
        cases.into_iter().collect()
    }

    /// Where one of each side holds.
    fn both(&mut self, these: &[Case], those: &[Case], span: &Range<usize>) -> Option<Vec<Case>> {
        let mut both = Vec::new();
        for this in these {
            for that in those {
                match meet(this, that) {
                    Ok(case) => both.extend(case),
                    Err(why) => return self.remarks.refused(span, "the condition", why),
                }
            }
        }
        if both.len() > MOST_CASES {
            return self.remarks.refused(span, "the condition", "it has too many cases; write several lines");
        }
        Some(both)
    }
}

/// Where both hold; nowhere, if they contradict each other.
fn meet(this: &Case, that: &Case) -> Result<Option<Case>, &'static str> {
    if this.hello.zip(that.hello).is_some_and(|(this, that)| this != that) {
        return Ok(None);
    }
    let one_of = |this: &[String], that: &[String]| match (this, that) {
        ([], any) | (any, []) => Ok(any.to_vec()),
        _ => Err("it asks the same thing twice; write the names that fit both as one"),
    };
    Ok(Some(Case {
        hello: this.hello.or(that.hello),
        names: one_of(&this.names, &that.names)?,
        alpn: one_of(&this.alpn, &that.alpn)?,
    }))
}

/// What is compared, how, and with what: `req.ssl_sni -i a.example.org b.example.org`.
fn criterion(words: &[Word], place: &Range<usize>, remarks: &mut Remarks) -> Option<Case> {
    let Some((sample, rest)) = words.split_first() else {
        return remarks.refused(place, "the condition", "it is empty; write one, or remove it");
    };
    let span = sample.span.start..words.last().map_or(sample.span.end, |last| last.span.end);
    let (fetch, lower) = match sample.text.strip_suffix(",lower") {
        Some(fetch) => (fetch, true),
        None => (sample.text.as_str(), false),
    };
    let how = match how(rest) {
        Ok(how) => how,
        Err(why) => return remarks.refused(&span, fetch, why),
    };
    let read = match fetch {
        "req.ssl_sni" | "req_ssl_sni" => names(&how, lower),
        "req.ssl_alpn" if !lower => protocols(&how),
        "req.ssl_hello_type" | "req_ssl_hello_type" if !lower => hello_type(&how),
        _ => Err(
            "Raftgate routes by what a ClientHello says and by nothing else: req.ssl_sni, req.ssl_alpn and \
                  req.ssl_hello_type; give such clients a `bind` of their own"
                .to_owned(),
        ),
    };
    match read {
        Ok(case) => {
            if !case.names.is_empty() && !how.any_case && !lower {
                let why =
                    "names are compared as DNS does, small and capital letters being the same, as with -i";
                remarks.translated(&span, fetch, why);
            }
            Some(case)
        }
        Err(why) => remarks.refused(&span, fetch, why),
    }
}

/// The flags and what follows them.
struct How<'w> {
    any_case: bool,
    method: Option<&'w str>,
    patterns: &'w [Word],
}

fn how(words: &[Word]) -> Result<How<'_>, &'static str> {
    let mut how = How { any_case: false, method: None, patterns: words };
    while let Some((flag, rest)) = how.patterns.split_first() {
        let mut behind = rest;
        match flag.text.as_str() {
            "-i" => how.any_case = true,
            "-m" => {
                let (method, rest) = rest.split_first().ok_or("-m wants a method behind it, such as str")?;
                how.method = Some(&method.text);
                behind = rest;
            }
            "--" => {
                how.patterns = rest;
                break;
            }
            "-f" => return Err("Raftgate reads no files of names; write the names themselves"),
            text if text.starts_with('-') => {
                return Err("Raftgate knows only the flags -i, -m and --; leave it out");
            }
            _ => break,
        }
        how.patterns = behind;
    }
    if how.patterns.is_empty() && how.method != Some("found") {
        return Err("it is compared with nothing; write what it has to be");
    }
    Ok(how)
}

fn names(how: &How<'_>, lower: bool) -> Result<Case, String> {
    let below = match how.method {
        None | Some("str") => false,
        Some("end") => true,
        Some(_) => {
            return Err("Raftgate compares whole names, or takes all below one; write the names, or -m end .example.org"
                .to_owned());
        }
    };
    let name = |word: &Word| {
        let text = &word.text;
        if lower && text.chars().any(|letter| letter.is_ascii_uppercase()) {
            return Err(format!(
                "{text:?} has capital letters, which never match behind ,lower; write small ones"
            ));
        }
        match (below, text.strip_prefix('.')) {
            (true, Some(parent)) => Ok(format!("*.{parent}")),
            (true, None) => Err(format!("{text:?} would match in the middle of a label, too; write .{text}")),
            (false, _) if text.contains('*') => Err(format!(
                "HAProxy takes the star in {text:?} as it is, so that it never matches; write -m end .example.org for all names \
                 below one"
            )),
            (false, _) => Ok(text.clone()),
        }
    };
    let names = how.patterns.iter().map(name).collect::<Result<_, _>>()?;
    Ok(Case { names, ..Case::hello() })
}

fn protocols(how: &How<'_>) -> Result<Case, String> {
    if how.any_case || how.method.is_some_and(|method| method != "str") {
        return Err("Raftgate compares the names of protocols as they are; leave -i and -m out".to_owned());
    }
    Ok(Case { alpn: how.patterns.iter().map(|word| word.text.clone()).collect(), ..Case::hello() })
}

fn hello_type(how: &How<'_>) -> Result<Case, String> {
    if how.method.is_some() || how.patterns.iter().any(|word| !word.is("1")) {
        return Err("a client begins with a ClientHello, which is 1; write req.ssl_hello_type 1".to_owned());
    }
    Ok(Case::hello())
}
