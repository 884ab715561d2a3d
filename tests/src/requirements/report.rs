//! What becomes of each requirement, and what contradicts itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::AddAssign,
};

use serde::Serialize;

use super::{
    Exception, Priority, Requirement, Requirements,
    citations::{Citations, Cited, Place},
};

/// What became of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Code and tests cite it.
    Kept,
    /// The same, but a part is refused, with a reason.
    KeptInPart,
    /// The design decides against it, with a reason.
    Refused,
    /// It waits for something that is not built yet.
    Open,
    /// A must or should that is nothing of all that.
    Missing,
    /// An extra that nobody keeps.
    ExtraNotKept,
    /// It is for another mode or another design.
    NotApplicable,
}

impl Status {
    /// Every status, in the order of [`Totals`].
    pub const ALL: [Self; 7] = [
        Self::Kept,
        Self::KeptInPart,
        Self::Refused,
        Self::Open,
        Self::Missing,
        Self::ExtraNotKept,
        Self::NotApplicable,
    ];

    /// The name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::KeptInPart => "kept in part",
            Self::Refused => "refused",
            Self::Open => "open",
            Self::Missing => "missing",
            Self::ExtraNotKept => "extra, not kept",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// A requirement, what became of it and why, and who says so.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The requirement.
    #[serde(flatten)]
    pub requirement: Requirement,
    /// What became of it.
    pub status: Status,
    /// Why it is refused, refused in part or open.
    pub reason: Option<String>,
    /// Who cites it.
    #[serde(flatten)]
    pub cited: Cited,
}

/// The requirements of one source.
#[derive(Clone, Debug, Serialize)]
pub struct SourceReport {
    /// The source.
    pub title: String,
    /// Its requirements.
    pub requirements: Vec<Entry>,
    /// How many became of what.
    pub totals: Totals,
}

/// How many requirements have each status, in the order of [`Status::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals(pub [usize; Status::ALL.len()]);

impl Totals {
    /// How many have this status.
    #[must_use]
    pub const fn of(&self, status: Status) -> usize {
        self.0[status as usize]
    }
}

impl FromIterator<Status> for Totals {
    fn from_iter<T: IntoIterator<Item = Status>>(statuses: T) -> Self {
        let mut totals = Self::default();
        for status in statuses {
            totals.0[status as usize] += 1;
        }
        totals
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        for (total, more) in self.0.iter_mut().zip(other.0) {
            *total += more;
        }
    }
}

impl Serialize for Totals {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Status::ALL.map(|status| (status, self.of(status))))
    }
}

/// The whole account.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// By source, in the order of the file.
    pub sources: Vec<SourceReport>,
    /// Of all sources.
    pub totals: Totals,
    /// What is wrong, one sentence each; none when all is well.
    pub problems: Vec<String>,
}

impl Report {
    /// The account of this workspace.
    ///
    /// # Panics
    /// If a file cannot be read or understood.
    #[must_use]
    pub fn of_workspace() -> Self {
        Self::new(&Requirements::load(), &Citations::collect())
    }

    /// Compares what is asked for with what is cited.
    #[must_use]
    pub fn new(requirements: &Requirements, citations: &Citations) -> Self {
        let mut problems = Vec::new();
        let exceptions = Exceptions::of(requirements, &mut problems);
        unknown_ids(requirements, citations, &mut problems);
        let mut totals = Totals::default();
        let sources = requirements.sources.iter().map(|source| {
            let entries = source.requirements.iter().map(|requirement| {
                let cited = citations.of(&requirement.id);
                let (status, reason) = exceptions.judge(requirement, &cited, &mut problems);
                Entry { requirement: requirement.clone(), status, reason, cited }
            });
            let requirements: Vec<_> = entries.collect();
            let of_source: Totals = requirements.iter().map(|entry| entry.status).collect();
            totals += of_source;
            SourceReport { title: source.title.clone(), requirements, totals: of_source }
        });
        let sources = sources.collect();
        Self { sources, totals, problems }
    }
}

/// Why requirements are not kept, or not wholly, by id.
struct Exceptions<'a>(BTreeMap<&'a str, (Status, &'a str)>);

impl<'a> Exceptions<'a> {
    /// Takes them from the file.
    fn of(requirements: &'a Requirements, problems: &mut Vec<String>) -> Self {
        let Requirements { refused, refused_in_part, open, .. } = requirements;
        let mut by_id = BTreeMap::new();
        for (status, exceptions) in [
            (Status::Refused, refused),
            (Status::KeptInPart, refused_in_part),
            (Status::Open, open),
        ] {
            for Exception { ids, reason } in exceptions {
                if reason.is_empty() {
                    problems.push(format!("{}: the reason is missing", ids.join(", ")));
                }
                for id in ids {
                    if by_id.insert(id.as_str(), (status, reason.as_str())).is_some() {
                        problems.push(format!("{id} is refused or open twice"));
                    }
                }
            }
        }
        Self(by_id)
    }

    /// What became of a requirement, with the reason.
    fn judge(
        &self,
        requirement: &Requirement,
        cited: &Cited,
        problems: &mut Vec<String>,
    ) -> (Status, Option<String>) {
        let exception = self.0.get(requirement.id.as_str()).copied();
        let status = match exception {
            _ if !requirement.is_for_filter() => Status::NotApplicable,
            Some((status @ (Status::Refused | Status::Open), _)) => status,
            _ if !is_kept(requirement, cited) => match requirement.priority {
                Priority::Must | Priority::Should => Status::Missing,
                Priority::Extra => Status::ExtraNotKept,
            },
            Some((status, _)) => status,
            None => Status::Kept,
        };
        problems.extend(contradiction(requirement, status, exception.is_some(), cited));
        let reason = exception.filter(|(of, _)| *of == status).map(|(_, reason)| reason.to_owned());
        (status, reason)
    }
}

/// Whether code and tests say that they keep it. Of an extra nobody asks for the code.
const fn is_kept(requirement: &Requirement, cited: &Cited) -> bool {
    let is_due = !matches!(requirement.priority, Priority::Extra);
    cited.is_tested() && (!is_due || !cited.code.is_empty())
}

/// What contradicts the status, if anything does.
fn contradiction(
    Requirement { id, priority, .. }: &Requirement,
    status: Status,
    has_reason: bool,
    cited: &Cited,
) -> Option<String> {
    let at = |place: &Place| format!("{}:{}", place.file, place.line);
    match status {
        Status::Kept | Status::KeptInPart => None,
        Status::Refused => cited
            .places()
            .next()
            .map(|place| format!("{id} is refused, but {} cites it", at(place))),
        Status::Open => cited.test_places().next().map(|place| {
            format!("{id} is open, but the test at {} shows that it is kept", at(place))
        }),
        Status::Missing => {
            let nobody = match (cited.code.is_empty(), cited.is_tested()) {
                (true, true) => "no code",
                (false, _) => "no test",
                (true, false) => "neither code nor a test",
            };
            let level = priority.name();
            Some(format!("{id} ({level}): {nobody} cites it, and it is neither refused nor open"))
        }
        Status::ExtraNotKept => {
            has_reason.then(|| format!("{id} is refused in part, but nobody keeps the rest"))
        }
        Status::NotApplicable if has_reason => {
            Some(format!("{id} does not apply, so it needs no reason"))
        }
        Status::NotApplicable => cited
            .places()
            .next()
            .map(|place| format!("{id} does not apply, but {} cites it", at(place))),
    }
}

/// Ids that the file does not have or has twice.
fn unknown_ids(requirements: &Requirements, citations: &Citations, problems: &mut Vec<String>) {
    let mut known = BTreeSet::new();
    for Requirement { id, .. } in requirements.all() {
        if !known.insert(id.as_str()) {
            problems.push(format!("{id} is listed twice"));
        }
    }
    let Requirements { refused, refused_in_part, open, .. } = requirements;
    for id in [refused, refused_in_part, open].into_iter().flatten().flat_map(|it| &it.ids) {
        if !known.contains(id.as_str()) {
            problems.push(format!("{id} is refused or open, but no requirement"));
        }
    }
    for id in citations.ids().filter(|id| !known.contains(id)) {
        let cited = citations.of(id);
        let places = cited.places().map(|Place { file, line }| format!("{file}:{line}"));
        let places: Vec<_> = places.collect();
        problems.push(format!("{id} is no requirement, but cited at {}", places.join(", ")));
    }
}
