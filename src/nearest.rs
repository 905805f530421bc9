//! Which name a mistyped name was probably meant to be.
//!
//! Not here: where names are looked up (settings in `config`, detectors in `analysis::detectors`).

/// The candidate that the fewest edits turn into `name`, if they are few for its length: one, or a third of it.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (edits(name, candidate), candidate))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions and replacements of single characters between two names (Levenshtein's distance).
pub(crate) fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_as_in_the_textbook() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("listen", "listen"), 0);
    }

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        let names = ["http.listen", "log.level", "log.format"];
        assert_eq!(nearest("htp.listn", names.into_iter()), Some("http.listen"));
        assert_eq!(nearest("log.lvl", names.into_iter()), Some("log.level"));
        assert_eq!(nearest("storage.x", names.into_iter()), None);
    }
}
