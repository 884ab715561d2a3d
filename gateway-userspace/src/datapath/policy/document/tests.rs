//! That documents come back as they were, that hostile ones are refused, and that no hit is lost or
//! counted twice wherever reloads are interrupted.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::settings::Settings;

const POLICY: &str = "\
[prefix_list.office]
prefixes = ['192.0.2.0/24', '2a00:9::/48']
[[subnet]]
name = 'a'
prefix = '10.0.0.0/8'
route = 'internet'
[[rule]]
name = 'web'
direction = 'in'
action = 'allow'
proto = 'tcp'
ports = [80, '8000-8100']
from = ['@office', '198.51.100.0/24']
[[rule]]
direction = 'out'
action = 'deny'
shadow = true
log = true
";

#[test]
fn a_document_comes_back_as_it_was() {
    let policy = policy(POLICY);
    let source = PolicySource {
        file: Some("/etc/eigw/wan.toml".into()),
        loaded_unix_secs: 1_700_000_000,
        uplinks_given: true,
        hook_given: false,
        hook: "auto".to_owned(),
    };
    let document = Document::new(&policy, &source, 7, None, None);
    let blocks = document.encode();
    assert_eq!(blocks.len(), 1);
    let read = Document::decode(&blocks, Some(&policy.summary())).expect("our own text");
    assert_eq!((&read, read.generation, &read.source), (&document, 7, &source));
    assert_eq!(read.list_sizes(), [2]);
    let read = read.policy();
    assert_eq!((&read.rules, &read.subnets), (&policy.rules, &policy.subnets));
    assert_eq!((read.lists[0].name.as_str(), read.default_route), ("office", policy.default_route));
    let last_bytes = [blocks, vec![[7; POLICY_TEXT_BLOCK_BYTES]]].concat();
    assert_eq!(Document::decode(&last_bytes, None), Ok(document), "what follows does not matter");
}

#[test]
fn large_documents_take_many_blocks() {
    let rule = "[[rule]]\ndirection = 'in'\naction = 'allow'\nproto = 'tcp'\n";
    let policy = policy(&rule.repeat(300));
    let document = Document::new(&policy, &PolicySource::default(), 1, None, None);
    let blocks = document.encode();
    assert!(blocks.len() > 10, "{}", blocks.len());
    assert_eq!(Document::decode(&blocks, None), Ok(document));
}

#[test]
fn what_is_no_policy_is_refused() {
    let policy = policy(POLICY);
    let document = Document::new(&policy, &PolicySource::default(), 1, None, None);
    let json = serde_json::to_string(&document).expect("plain data");
    let refusal = |json: &str| Document::decode(&blocks_of(json), None).unwrap_err();
    for (from, to, complaint) in [
        ("\"in\"", "\"sideways\"", "unknown variant `sideways`"),
        ("{\"List\":0}", "{\"List\":1}", "names the list #1, of 1"),
        ("\"name\":\"web\"", "\"name\":\"\\u001b[2J\"", "not a valid name"),
        ("\"base\":[[0,0,0],", "\"base\":[", "has 3 hits of 4 places"),
        ("10.0.0.0/8", "10.0.0.0/33", "no policy"),
        ("}", "", "no policy"),
    ] {
        let changed = json.replace(from, to);
        assert_ne!(changed, json, "{from}");
        let found = refusal(&changed);
        assert!(found.contains(complaint), "{complaint} is missing in: {found}");
    }
    assert_eq!(Document::decode(&[], None), Err("has no text".to_owned()));
    let mut blocks = document.encode();
    blocks[0][..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(Document::decode(&blocks, None).unwrap_err().contains("claims a text of 18446744073"));
    let other = Summary { rules: 9, ..policy.summary() };
    let mismatch = Document::decode(&document.encode(), Some(&other)).unwrap_err();
    assert!(mismatch.contains("has 2 rules and 1 subnets, where the packet path has 9"));
}

proptest! {
    #[test]
    fn hostile_texts_do_no_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..3 * POLICY_TEXT_BLOCK_BYTES),
        position in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let (blocks, _) = bytes.as_chunks::<POLICY_TEXT_BLOCK_BYTES>();
        prop_assert!(Document::decode(blocks, None).is_err());
        let document = Document::new(&policy(POLICY), &PolicySource::default(), 1, None, None);
        let mut blocks = document.encode();
        let all = blocks.as_flattened_mut();
        let index = position.index(all.len());
        all[index] = byte;
        if let Ok(document) = Document::decode(&blocks, None) {
            let counted = Counted { hits: vec![Hits::default(); document.places()], document };
            prop_assert_eq!(counted.document.settled(Some(&counted)).len(), counted.hits.len());
        }
    }
}

#[test]
fn a_rule_that_was_away_begins_anew() {
    let mut kernel = Kernel::default();
    let named = |name: &str| policy(&rule(name));
    kernel.reload(&named("x"), Step::Done);
    kernel.hit(0, 5);
    kernel.reload(&named("y"), Step::Done);
    kernel.reload(&named("x"), Step::Done);
    assert_eq!(kernel.total(0), 0);
}

#[test]
fn hits_survive_three_reloads_and_count_once() {
    let mut kernel = Kernel::default();
    let same = policy(&rule("x"));
    let mut expected = 0;
    for round in 1..=4 {
        kernel.reload(&same, Step::Done);
        assert_eq!(kernel.total(0), expected, "round {round}");
        kernel.hit(0, round);
        expected += round;
        assert_eq!(kernel.total(0), expected, "round {round}");
    }
}

#[test]
fn interrupted_reloads_lose_nothing_and_count_nothing_twice() {
    let mut random = fastrand::Rng::with_seed(4);
    let names = ["x", "y", "z", ""];
    let mut tried = 0;
    for _ in 0..200 {
        let mut kernel = Kernel::default();
        let mut truth: HashMap<Identity, u64> = HashMap::new();
        for _ in 0..30 {
            let rules: String =
                names.iter().filter(|_| random.u8(0..4) > 0).map(|name| rule(name)).collect();
            let next = policy(&rules);
            let step = random.choice([Step::Begun, Step::Text, Step::Hits, Step::Done]);
            let step = step.expect("a choice");
            if kernel.reload(&next, step) {
                let places = hits::identities(&next);
                truth.retain(|place, _| places.contains(place));
            }
            let Some(places) = kernel.places() else { continue };
            for _ in 0..random.u8(0..4) {
                let place = random.usize(0..places.len());
                if kernel.hit_somewhere(place, random.bool()) {
                    *truth.entry(places[place].clone()).or_default() += 1;
                }
            }
            for (place, identity) in places.iter().enumerate() {
                let expected = truth.get(identity).copied().unwrap_or_default();
                assert_eq!(kernel.total(place), expected, "{identity:?} after {tried} checks");
                tried += 1;
            }
        }
    }
    assert!(tried > 10_000, "{tried}");
}

/// Where a reload ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Begun,
    Text,
    Hits,
    Done,
}

/// The two places of policies, and which one is in force.
#[derive(Default)]
struct Kernel {
    texts: [Option<Vec<Block>>; 2],
    hits: [Vec<Hits>; 2],
    active: Option<(usize, u32)>,
}

impl Kernel {
    /// Puts a policy in force as far as `until`; true when that is the end.
    fn reload(&mut self, policy: &Policy, until: Step) -> bool {
        let (slot, generation) = self.active.unwrap_or((1, 0));
        let spare = 1 - slot;
        let in_force = self.counted(slot).map(|counted| counted.document);
        let source = PolicySource::default();
        let other = self.counted(spare);
        let document =
            Document::new(policy, &source, generation + 1, in_force.as_ref(), other.as_ref());
        if until == Step::Begun {
            return false;
        }
        self.texts[spare] = Some(document.encode());
        if until == Step::Text {
            return false;
        }
        self.hits[spare] = vec![Hits::default(); document.places()];
        if until == Step::Hits {
            return false;
        }
        self.active = Some((spare, generation + 1));
        true
    }

    fn counted(&self, slot: usize) -> Option<Counted> {
        let document = Document::decode(self.texts[slot].as_deref()?, None).expect("our own text");
        // As if the counters of another policy were there still.
        let mut hits = self.hits[slot].clone();
        hits.resize(document.places(), Hits::default());
        Some(Counted { document, hits })
    }

    fn places(&self) -> Option<Vec<Identity>> {
        let (slot, _) = self.active?;
        Some(self.counted(slot)?.document.identities())
    }

    fn hit(&mut self, place: usize, packets: u64) {
        let (slot, _) = self.active.expect("a policy");
        self.hits[slot][place].count.packets += packets;
    }

    /// A packet that meets the policy in force or, being late, the one before it; false when that
    /// is not there any more.
    fn hit_somewhere(&mut self, place: usize, is_late: bool) -> bool {
        let (slot, generation) = self.active.expect("a policy");
        let wanted = self.places().expect("a policy")[place].clone();
        let before = self.counted(1 - slot).filter(|counted| {
            let ours = self.counted(slot).expect("a policy").document;
            counted.document.generation == ours.predecessor && generation > 1
        });
        let late_place = before.and_then(|counted| {
            counted.document.identities().iter().position(|place| *place == wanted)
        });
        match (is_late, late_place) {
            (false, _) => self.hits[slot][place].count.packets += 1,
            (true, Some(place)) => self.hits[1 - slot][place].count.packets += 1,
            (true, None) => return false,
        }
        true
    }

    fn total(&self, place: usize) -> u64 {
        let (slot, _) = self.active.expect("a policy");
        let ours = self.counted(slot).expect("a policy");
        let settled = ours.document.settled(self.counted(1 - slot).as_ref());
        hits::added(&settled, &ours.hits)[place].count.packets
    }
}

fn policy(text: &str) -> Policy {
    let (settings, _) = Settings::parse(text, 1 << 30).expect("valid file");
    settings.policy
}

/// A rule, without a name if that is empty.
fn rule(name: &str) -> String {
    let name = if name.is_empty() { String::new() } else { format!("name = '{name}'\n") };
    format!("[[rule]]\n{name}direction = 'in'\naction = 'allow'\n")
}

/// A text as it is stored.
fn blocks_of(text: &str) -> Vec<Block> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.bytes());
    bytes.resize(bytes.len().next_multiple_of(POLICY_TEXT_BLOCK_BYTES), 0);
    bytes.as_chunks().0.to_vec()
}
