//! Which kernels are tried, and which of the packages that Debian offers is each one's newest.

use anyhow::{Result, bail};

/// Debian's small kernels for virtual machines: they have what the tests need and boot fast.
pub(super) const FLAVOUR: &str = "-cloud-amd64";
const IMAGE: &str = "linux-image-";

/// What a gateway has to do on a series of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expectation {
    /// Everything works.
    Works,
    /// Attaching says that the kernel is too old, and changes nothing.
    Refused,
}

/// The kernels that begin with the same two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Series {
    /// Two numbers such as `6.1`, or [`NEWEST`].
    pub(super) name: &'static str,
    pub(super) expectation: Expectation,
}

/// The name of the series of whatever is newest.
pub(super) const NEWEST: &str = "newest";
const OLDEST: &str = "oldest";

/// Every series, from old to new.
pub(super) const ALL: [Series; 5] = [
    Series { name: "5.10", expectation: Expectation::Refused },
    Series { name: "6.1", expectation: Expectation::Works },
    Series { name: "6.12", expectation: Expectation::Works },
    Series { name: "6.18", expectation: Expectation::Works },
    Series { name: NEWEST, expectation: Expectation::Works },
];

/// The series of these names, each once and from old to new; all of them if none is named.
///
/// # Errors
/// When there is no series of a name.
pub(super) fn select(names: &[String]) -> Result<Vec<Series>> {
    for name in names {
        if name != OLDEST && !ALL.iter().any(|series| series.name == name) {
            let known: Vec<&str> = ALL.iter().map(|series| series.name).collect();
            bail!("no kernel {name:?}: there are {}, and {OLDEST}", known.join(", "));
        }
    }
    let is_wanted = |series: &Series| {
        let is_named = |name: &String| {
            name == series.name || (name == OLDEST && Some(series) == oldest().as_ref())
        };
        names.is_empty() || names.iter().any(is_named)
    };
    Ok(ALL.into_iter().filter(is_wanted).collect())
}

/// The oldest series on which everything works.
fn oldest() -> Option<Series> {
    ALL.into_iter().find(|series| series.expectation == Expectation::Works)
}

impl Series {
    /// The newest kernel of the series among these packages: what `uname -r` says on it.
    pub(super) fn newest_release(&self, packages: &[impl AsRef<str>]) -> Option<String> {
        let releases = packages.iter().filter_map(|package| release(package.as_ref()));
        releases
            .filter(|release| {
                self.name == NEWEST || numbers(release).starts_with(&numbers(self.name))
            })
            .max_by_key(|release| numbers(release))
            .map(str::to_owned)
    }
}

/// The name of the package with this kernel.
pub(super) fn image_package(release: &str) -> String {
    format!("{IMAGE}{release}")
}

/// The kernel in the package of this name, if it is one of the flavour and not merely named after
/// the newest one.
fn release(package: &str) -> Option<&str> {
    let release = package.strip_prefix(IMAGE)?;
    let version = release.strip_suffix(FLAVOUR)?;
    (numbers(version).len() >= 3).then_some(release)
}

/// The numbers in a version, by which versions are ordered: 6.9 comes before 6.12.
fn numbers(version: &str) -> Vec<u32> {
    let version = version.strip_suffix(FLAVOUR).unwrap_or(version);
    version
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|it| it.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGES: [&str; 14] = [
        "linux-image-cloud-amd64",
        "linux-image-6.1-cloud-amd64",
        "linux-image-6.1.0-9-cloud-amd64",
        "linux-image-6.1.0-0.deb11.52-cloud-amd64",
        "linux-image-6.1.0-56-cloud-amd64",
        "linux-image-6.1.0-57-amd64",
        "linux-image-6.1.0-57-cloud-amd64-dbg",
        "linux-image-6.12.117+deb13-cloud-amd64",
        "linux-image-6.12.90+deb13.1-cloud-amd64",
        "linux-image-6.12.117+deb12-cloud-amd64",
        "linux-image-6.18.15+deb13-cloud-amd64-unsigned",
        "linux-image-7.3.4+deb13-cloud-amd64",
        "linux-image-7.10.0+deb13-cloud-amd64",
        "linux-headers-7.11.0+deb13-cloud-amd64",
    ];

    #[test]
    fn the_newest_of_a_series_is_found_by_number() {
        let newest = |name: &str| {
            let series = ALL.iter().find(|series| series.name == name).expect("known");
            series.newest_release(&PACKAGES)
        };
        assert_eq!(newest("6.1").as_deref(), Some("6.1.0-56-cloud-amd64"));
        assert_eq!(newest("6.12").as_deref(), Some("6.12.117+deb13-cloud-amd64"));
        assert_eq!(newest(NEWEST).as_deref(), Some("7.10.0+deb13-cloud-amd64"));
        assert_eq!(newest("6.18"), None, "what is not signed is not what people run");
        assert_eq!(newest("5.10"), None);
    }

    #[test]
    fn series_are_selected_by_name() {
        let names = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            select(&names).map(|all| all.iter().map(|it| it.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).expect("all"), ["5.10", "6.1", "6.12", "6.18", NEWEST]);
        assert_eq!(names(&[NEWEST, "6.12", NEWEST]).expect("known"), ["6.12", NEWEST]);
        assert_eq!(names(&[OLDEST, "6.1"]).expect("known"), ["6.1"], "the oldest that works");
        let error = names(&["6.2"]).expect_err("no such series").to_string();
        assert!(error.contains("6.2") && error.contains("6.18"), "{error}");
    }
}
