//! The statuses by which Vault tells a node's state at `/v1/sys/health`; parameters of the query change them.

/// The path of the question.
pub(super) const PATH: &str = "/v1/sys/health";

/// A state other than the active node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The node in this state, as a part of a sentence.
    pub(super) node: &'static str,
    /// The status of its answer.
    pub(super) status: u16,
    /// Whether a node in this state follows the active node.
    pub(super) follows: bool,
    /// The parameter that sets the status; `None` where the status is Vault's own.
    pub(super) by: Option<&'static str>,
}

/// The statuses of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answers {
    /// The status of the active node, where a parameter sets it.
    pub(super) active: Option<u16>,
    /// The statuses of all other nodes.
    pub(super) others: Vec<State>,
}

/// Each state: the node, the parameter that sets its status, Vault's own status, whether the node follows, and the
/// parameter that makes it answer as the active node does.
const STATES: [(&str, &str, u16, bool, Option<&str>); 7] = [
    ("a standby", "standbycode", 429, true, Some("standbyok")),
    ("a performance standby", "performancestandbycode", 473, true, Some("perfstandbyok")),
    ("a disaster recovery secondary", "drsecondarycode", 472, true, None),
    ("a sealed node", "sealedcode", 503, false, None),
    ("a node that is not initialized", "uninitcode", 501, false, None),
    ("a standby that does not reach the active node", "haunhealthycode", 474, false, None),
    ("a node that was removed from the cluster", "removedcode", 530, false, None),
];

/// The statuses that a URI asks for.
///
/// # Errors
///
/// The parameter whose value is no status: Vault answers 400 or nothing then, whatever its state.
pub(super) fn answers(uri: &str) -> Result<Answers, &'static str> {
    let parameters = parameters(uri.split_once('?').map_or("", |(_, query)| query));
    // Vault takes the first of several, and no other spelling.
    let value = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let status = |name: &'static str, own: u16| match value(name) {
        None => Ok((own, None)),
        Some(text) => match text.parse::<u16>() {
            Ok(status) if (100..=999).contains(&status) => Ok((status, Some(name))),
            _ => Err(name),
        },
    };
    let (active, set) = status("activecode", 200)?;
    let mut others = Vec::new();
    for (node, code, own, follows, as_active) in STATES {
        let (mut status, mut by) = status(code, own)?;
        // Older versions heed the name alone, whatever its value.
        if let Some(name) = as_active.filter(|name| value(name).is_some()) {
            (status, by) = (active, Some(name));
        }
        others.push(State { node, status, follows, by });
    }
    Ok(Answers { active: set.map(|_| active), others })
}

/// Why a question does not tell the active node from others, if some of their answers count as a leader's by status.
pub(super) fn objection(uri: &str, leads: impl Fn(u16) -> bool) -> Option<String> {
    let answers = match answers(uri) {
        Ok(answers) => answers,
        Err(parameter) => {
            return Some(format!(
                "Vault takes a status such as 200 in `{parameter}` and refuses the question otherwise, so that no node \
                 could lead; remove the parameter"
            ));
        }
    };
    let deceiver = answers.others.iter().find(|state| state.by.is_some() && leads(state.status));
    if let Some(State { node, status, by: Some(parameter), .. }) = deceiver {
        return Some(format!(
            "by `{parameter}` in the query {node} answers {status}, which counts as the leader's answer; remove the \
             parameter"
        ));
    }
    answers.active.filter(|active| !leads(*active)).map(|active| {
        format!(
            "by `activecode` in the query the active node answers {active}, which does not count as the leader's answer, \
             so that no node could lead; remove the parameter, or accept the status"
        )
    })
}

/// Names and values, decoded; what cannot be decoded is left out, as by Vault.
fn parameters(query: &str) -> Vec<(String, String)> {
    // Versions differ in whether a semicolon separates parameters. Taken for a separator it hides none.
    let pairs = query.split(['&', ';']).filter(|pair| !pair.is_empty());
    pairs
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(&name.replace('+', " "))?, decoded(&value.replace('+', " "))?))
        })
        .collect()
}

/// A text without its percent escapes; `None` if an escape is incomplete or makes no text.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objection_to(query: &str) -> Option<String> {
        objection(&format!("{PATH}{query}"), |status| (200..=399).contains(&status))
    }

    #[test]
    fn vault_codes_that_count_as_leader_are_objected_to() {
        for (query, parameter) in [
            ("?sealedcode=200", "sealedcode"),
            ("?uninitcode=204&sealedcode=503", "uninitcode"),
            ("?x=1&drsecondarycode=200", "drsecondarycode"),
            ("?standbycode=204", "standbycode"),
            ("?performancestandbycode=399", "performancestandbycode"),
            ("?haunhealthycode=200", "haunhealthycode"),
            ("?removedcode=200", "removedcode"),
            ("?standbyok", "standbyok"),
            ("?standbyok=false", "standbyok"),
            ("?perfstandbyok=true", "perfstandbyok"),
            ("?sealed%63ode=%32%300", "sealedcode"),
            ("?sealedcode=200&sealedcode=503", "sealedcode"),
            ("?activecode=429;sealedcode=200", "sealedcode"),
            ("?activecode=429", "activecode"),
            ("?sealedcode=many", "sealedcode"),
            ("?sealedcode=+200", "sealedcode"),
            ("?uninitcode=", "uninitcode"),
        ] {
            assert!(
                objection_to(query).is_some_and(|why| why.contains(&format!("`{parameter}`"))),
                "{query}"
            );
        }
    }

    #[test]
    fn vault_codes_that_mislead_nobody_are_accepted() {
        for query in [
            "",
            "?",
            "?sealedcode=503",
            "?sealedcode=503&sealedcode=200",
            // Vault knows its parameters in lower case alone.
            "?SealedCode=200",
            "?StandbyOK",
            "?sealedcode%=200",
            "?activecode=204",
            "?standbycode=418&performancestandbycode=418",
        ] {
            assert_eq!(objection_to(query), None, "{query}");
        }
    }

    #[test]
    fn vault_followers_answer_what_the_query_says() {
        let answers = answers("/v1/sys/health?standbycode=418&standbycode=200").unwrap();
        let followers: Vec<u16> =
            answers.others.iter().filter(|state| state.follows).map(|state| state.status).collect();
        assert_eq!((answers.active, followers), (None, vec![418, 473, 472]));
    }
}
