//! Names of capabilities that people write, in the configuration and on the command line.

use std::collections::BTreeSet;

/// The names in capitals, if all are known.
///
/// # Errors
/// What is wrong with the first that is not, with the name that was most likely meant.
pub(super) fn known(
    names: &[String],
    switchable: &BTreeSet<String>,
) -> Result<BTreeSet<String>, String> {
    let check = |name: &String| {
        let capitals = name.to_ascii_uppercase();
        if switchable.contains(&capitals) {
            return Ok(capitals);
        }
        let nearest = switchable
            .iter()
            .min_by_key(|known| strsim::damerau_levenshtein(&capitals, known));
        Err(nearest.map_or_else(
            || format!("unknown capability {name}"),
            |nearest| format!("unknown capability {name}; did you mean {nearest}?"),
        ))
    };
    names.iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_refused_with_the_nearest() {
        let switchable: BTreeSet<String> = ["IDLE", "LIST-STATUS", "UTF8=ACCEPT"]
            .map(str::to_owned)
            .into();
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            known(&names, &switchable)
        };
        assert_eq!(
            of(&["idle", "Utf8=Accept"]),
            Ok(["IDLE", "UTF8=ACCEPT"].map(str::to_owned).into())
        );
        assert_eq!(of(&[]), Ok(BTreeSet::new()));
        let error = of(&["idle", "list-sattus"]).unwrap_err();
        assert_eq!(
            error,
            "unknown capability list-sattus; did you mean LIST-STATUS?"
        );
    }
}
