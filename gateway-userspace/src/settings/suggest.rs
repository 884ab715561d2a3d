//! "Did you mean": the nearest of the words that would have been right.

/// The text to append to a complaint about `word`, empty when no candidate is near.
pub(crate) fn did_you_mean<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> String {
    // A third of the word may be wrong: enough for the usual slips, too little for nonsense.
    let distance_max = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|&(distance, _)| distance <= distance_max)
        .min()
        .map(|(_, candidate)| format!("; did you mean '{candidate}'?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn suggests_the_nearest_word_and_nothing_for_nonsense() {
        let keys = ["name", "uplinks", "hook"];
        assert_eq!(did_you_mean("upliks", keys), "; did you mean 'uplinks'?");
        assert_eq!(did_you_mean("nmae", keys), "; did you mean 'name'?");
        assert_eq!(did_you_mean("colour", keys), "");
    }
}
