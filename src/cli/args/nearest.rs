//! What a mistyped word was meant to be.

/// A question that names the words nearest to `word`, for the end of a message; empty if none is near.
pub fn question<'a>(word: &str, known: impl Iterator<Item = &'a str>, before: &str) -> String {
    let allowed = (word.chars().count() / 3).clamp(1, 2);
    let near = known.map(|other| (distance(word, other), other)).filter(|(distance, _)| *distance <= allowed);
    let mut near: Vec<(usize, &str)> = near.collect();
    crate::sort::by_key(&mut near, |word| *word);
    near.dedup();
    let least = near.first().map_or(0, |(distance, _)| *distance);
    let names: Vec<String> = near
        .iter()
        .take_while(|(distance, _)| *distance == least)
        .map(|(_, name)| format!("'{before}{name}'"))
        .collect();
    if names.is_empty() { String::new() } else { format!("did you mean {}? ", names.join(" or ")) }
}

/// How many letters are to be put in, left out, changed or swapped with the next one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // The lines of the table for the beginnings of `a` that are shorter by two and by one.
    let mut last: Vec<usize> = Vec::new();
    let mut line: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (line[j] + usize::from(x != y)).min(line[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(last[j - 1] + 1);
            }
            next.push(least);
        }
        last = std::mem::replace(&mut line, next);
    }
    line[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let pairs = [
            ("run", "run", 0),
            ("rnu", "run", 1),
            ("", "ab", 2),
            ("imgaes", "images", 1),
            ("stts", "stats", 1),
            ("ps", "rm", 2),
        ];
        for (a, b, expected) in pairs {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn only_what_is_near_is_asked_for() {
        let ask = |word| question(word, ["run", "rm", "rmi", "images"].into_iter(), "ccrun ");
        assert_eq!(ask("rnu"), "did you mean 'ccrun run'? ");
        assert_eq!(ask("image"), "did you mean 'ccrun images'? ");
        assert_eq!(ask("rn"), "did you mean 'ccrun rm' or 'ccrun run'? ");
        assert_eq!(ask("bogus"), "");
    }
}
