//! Patterns for names.

/// Go's path.Match: `*` and `?` stop at a slash, `[a-z]` is one of a class, `\` takes what follows as it is.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut signs = pattern.chars();
    let mut rest = text.chars();
    match signs.next() {
        None => text.is_empty(),
        Some('*') => {
            let stops = text.find('/').unwrap_or(text.len());
            let tails = text.char_indices().map(|(at, _)| at).chain([text.len()]).filter(|at| *at <= stops);
            tails.into_iter().any(|at| glob(signs.as_str(), &text[at..]))
        }
        Some('?') => rest.next().is_some_and(|c| c != '/') && glob(signs.as_str(), rest.as_str()),
        Some('[') => {
            let Some((class, after)) = signs.as_str().split_once(']') else { return false };
            rest.next().is_some_and(|c| is_in(class, c)) && glob(after, rest.as_str())
        }
        Some('\\') => rest.next().is_some_and(|c| signs.next() == Some(c)) && glob(signs.as_str(), rest.as_str()),
        Some(sign) => rest.next() == Some(sign) && glob(signs.as_str(), rest.as_str()),
    }
}

/// `abc`, `a-z`, `^a-z`.
fn is_in(class: &str, c: char) -> bool {
    let (inverted, class) = class.strip_prefix('^').map_or((false, class), |class| (true, class));
    let signs: Vec<char> = class.chars().collect();
    let mut at = 0;
    let mut found = false;
    while let Some(first) = signs.get(at) {
        let last = signs.get(at + 2).filter(|_| signs.get(at + 1) == Some(&'-'));
        found |= (*first..=*last.unwrap_or(first)).contains(&c);
        at += if last.is_some() { 3 } else { 1 };
    }
    found != inverted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, text) in [
            ("alpine", "alpine"),
            ("al*", "alpine"),
            ("*", "alpine"),
            ("*:3", "alpine:3"),
            ("a?pine", "alpine"),
            ("*/app", "host/app"),
            ("h*/a*p:v[0-9]", "host/app:v7"),
            ("[^b]lpine", "alpine"),
            ("a\\*", "a*"),
            ("é*", "éa"),
        ] {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("al", "alpine"), ("*", "host/app"), ("a?", "a/"), ("v[0-9]", "vx"), ("[a", "a"), ("", "a"), ("a*b", "ac")]
        {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }
}
