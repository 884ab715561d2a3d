//! Accounts as tables.

use crate::{
    output::{
        table::{numbers, render, words},
        units::money,
    },
    view::{CostListView, CostView, CountView},
};

/// What all flows carried, in one line.
pub(super) fn summary(view: &CostView) -> String {
    let CostView { since, currency, total, .. } = view;
    let cost = total.cost.map(|cost| format!(", cost {}", money(Some(cost), currency)));
    format!(
        "cost:   {} bytes out, {} bytes in since {since}{}\n",
        total.bytes_out,
        total.bytes_in,
        cost.unwrap_or_default()
    )
}

pub(super) fn list(view: &CostListView) -> String {
    let CostListView { name, by, cost, list } = view;
    let heading = match *by {
        "host" => "HOST",
        "destination" => "DESTINATION",
        _ => "RULE",
    };
    let columns = [
        words(heading),
        numbers("FLOWS"),
        numbers("PACKETS-OUT"),
        numbers("BYTES-OUT"),
        numbers("PACKETS-IN"),
        numbers("BYTES-IN"),
        numbers("COST"),
    ];
    let named = list.accounts.iter().map(|account| (account.name.as_str(), &account.count));
    let is_there = CountView { cost: None, ..list.other } != CountView::default();
    let other = is_there.then_some(("(other)", &list.other));
    let rows = named.chain(other).chain([("(total)", &cost.total)]);
    let table = render(columns, rows.map(|(name, count)| row(name, count, &cost.currency)));
    format!("gateway {name}, since {}, as of {}\n\n{table}", cost.since, cost.updated)
}

fn row(name: &str, count: &CountView, currency: &str) -> [String; 7] {
    [
        name.to_owned(),
        count.flows.to_string(),
        count.packets_out.to_string(),
        count.bytes_out.to_string(),
        count.packets_in.to_string(),
        count.bytes_in.to_string(),
        money(count.cost, currency),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{AccountListView, AccountView};

    #[test]
    fn accounts_end_in_their_sum() {
        let count = |bytes_out, cost| CountView {
            flows: 1,
            bytes_out,
            packets_out: 2,
            bytes_in: 30,
            packets_in: 1,
            cost: Some(cost),
        };
        let view = CostListView {
            name: "wan".to_owned(),
            by: "host",
            cost: CostView {
                since: "2026-01-02T03:04:05Z".to_owned(),
                updated: "2026-01-02T03:05:00Z".to_owned(),
                currency: "USD".to_owned(),
                total: count(3_000_000_000, 0.27),
            },
            list: AccountListView {
                accounts: vec![AccountView {
                    name: "10.77.1.2".to_owned(),
                    count: count(3_000_000_000, 0.27),
                }],
                other: CountView { cost: Some(0.0), ..CountView::default() },
            },
        };
        let expected = "\
gateway wan, since 2026-01-02T03:04:05Z, as of 2026-01-02T03:05:00Z

HOST       FLOWS  PACKETS-OUT   BYTES-OUT  PACKETS-IN  BYTES-IN      COST
10.77.1.2      1            2  3000000000           1        30  0.27 USD
(total)        1            2  3000000000           1        30  0.27 USD
";
        assert_eq!(list(&view), expected);
        assert_eq!(
            summary(&view.cost),
            "cost:   3000000000 bytes out, 30 bytes in since 2026-01-02T03:04:05Z, cost 0.27 USD\n"
        );
    }
}
